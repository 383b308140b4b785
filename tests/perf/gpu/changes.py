"""`python -m perf.gpu.changes SIZE MODEL OUT`: how many weights a step changes, and what it costs to find and copy them.

Our learner under ZeRO-3 and TRL's real loss; the completions come at once. In the place of a transfer the weights of each step,
as bfloat16, are compared with those of the step before. A first part of the training lets AdamW's moments settle, and each
learning rate is then measured for some steps.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median_low
from typing import Any, Final

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from perf.gpu.seam import WithoutFleet, learner_with
from perf.gpu.sizes import SIZES
from perf.gpu.snapshot import Snapshots
from perf.result import Figures, write

WARM_UP: Final = 20
RATES: Final = (1e-6, 1e-5)
STEPS_OF_RATE: Final = 5
MEASURED: Final = 3
"""Steps of each rate, its last ones, of which everything is measured; of the others it is counted what changes."""
STEPS: Final = WARM_UP + len(RATES) * STEPS_OF_RATE


def rate_of(step: int) -> float:
    """`step` counted from 0."""
    return RATES[max(0, step - WARM_UP) // STEPS_OF_RATE]


def is_measured(step: int) -> bool:
    return step >= WARM_UP and (step - WARM_UP) % STEPS_OF_RATE >= STEPS_OF_RATE - MEASURED


class Rates(TrainerCallback):  # type: ignore[misc]
    """The schedule has set the recipe's rate after each step; a step is made with this one."""

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, *, optimizer: Any, **_: Any
    ) -> None:
        for group in optimizer.param_groups:
            group["lr"] = rate_of(state.global_step)


class Watched(WithoutFleet):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.snapshots = Snapshots()
        self.rows: list[Figures] = []

    def sync_weights(self) -> None:
        """The first one has nothing to compare with."""
        step = len(self.rows)
        self.snapshots.take(self.weights())
        if self.snapshots.is_first:
            return
        row: Figures = {"step": step + 1, "learning_rate": rate_of(step), **self.snapshots.changes()}
        if is_measured(step):
            row |= self.snapshots.costs()
        self.rows.append(row)


def main() -> None:
    name, model, out = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    with learner_with(Watched, SIZES[name], model, STEPS) as learner:
        learner.add_callback(Rates())
        learner.train()
        seam = learner.vllm_generation
        seam.sync_weights()  # what the last step has changed
        gradient_norms = [entry["grad_norm"] for entry in learner.state.log_history if "grad_norm" in entry]
    watched = {"changed_shares": [row["changed_share"] for row in seam.rows], "gradient_norms": gradient_norms}
    of_host = {"pin_s": round(seam.snapshots.pin_s, 4), "host_threads": torch.get_num_threads()}
    write({"rates": [figures_of(rate, seam.rows) for rate in RATES], **of_host, **watched}, out)


def figures_of(rate: float, rows: Sequence[Figures]) -> Figures:
    """Medians of the steps of which everything is measured."""
    measured = [row for row in rows if row["learning_rate"] == rate and "gather_s" in row]
    values: Figures = {name: median_low(row[name] for row in measured) for name in measured[0] if name != "step"}
    share = round(values["delta_bytes"] / values["dense_bytes"], 4)
    return values | {"delta_share_of_bytes": share, "is_identical": all(row["is_identical"] for row in measured)}


if __name__ == "__main__":
    main()
