"""`python -m perf.gpu.ours SIZE MODEL OUT [GENERATE_S MAX_STALENESS]`: a rank of our learner under ZeRO-3.

Its generator answers at once, or takes GENERATE_S for a batch: as long as learning, so that no step can be shorter.
Everything on the way is production code: requests over HTTP, weights gathered, sent and pulled, rewards in their processes.
"""

import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from statistics import mean, median
from typing import Final

from grpo_contract.metrics import Phase
from grpo_trainer import device
from grpo_trainer.instruments.metrics import LearnerMetrics
from perf.gpu import run
from perf.gpu.sizes import SIZES
from perf.gpu.steps import WARM_UP, StepTimes, mfu, step_figures
from perf.paced_process import running_paced_server
from perf.pacing import Pace
from perf.result import Figures, write

STEPS: Final = 10
AT_ONCE: Final = ("0.001", "0")
"""Seconds for a batch, with generation and learning in turns."""


class SeenPhases(LearnerMetrics):
    def __init__(self) -> None:
        super().__init__(None)
        self.seconds: defaultdict[str, list[float]] = defaultdict(list)
        """By phase, of each step."""

    def observe(self, name: str, seconds: float, *labels: str) -> None:
        super().observe(name, seconds, *labels)
        if name == "grpo_phase_seconds":
            self.seconds[labels[0]].append(seconds)

    def medians(self) -> dict[str, float]:
        return {phase: round(median(seconds[WARM_UP:]), 4) for phase, seconds in self.seconds.items()}


def main() -> None:
    name, model, out, *pace = sys.argv[1:]
    size, batch = SIZES[name], SIZES[name].learnt
    generate_s, max_staleness = float((pace or AT_ONCE)[0]), int((pace or AT_ONCE)[1])
    server = running_paced_server(
        run.GENERATORS, Pace(generate_s / batch.tokens, batch.prompts * batch.generations, size.vocabulary)
    )
    phases, times = SeenPhases(), StepTimes()
    with tempfile.TemporaryDirectory() as folder, server:
        config = run.run_config(Path(model), Path(folder), batch, STEPS, max_staleness)
        with (
            device.process_group(config.learners.device, config.deadlines),
            run.learner_of(config, Path(folder), phases) as learner,
        ):
            learner.add_callback(times)
            learner.train()
            completion_tokens = batch.prompts * batch.generations * batch.tokens
            figures = step_figures(size.parameters, times.seconds, learner.state, completion_tokens)
    figures |= phase_figures(size.parameters, figures["tokens"], phases.medians())
    mean_s = mean(times.seconds[WARM_UP:])  # overlapped, long steps follow short ones
    paced = {"max_staleness": max_staleness, "generate_s": generate_s, "efficiency": round(generate_s / mean_s, 3)}
    write(figures | (paced if pace else {}), Path(out))


def phase_figures(parameters: int, tokens: int, phases: dict[str, float]) -> Figures:
    return {"phase_s": phases, "learn_mfu": mfu(parameters, tokens, phases[Phase.LEARN.value])}


if __name__ == "__main__":
    main()
