"""`python -m perf.gpu.ours SIZE MODEL OUT`: a rank of our learner under ZeRO-3, whose generator answers at once.

Everything on the way is production code: requests over HTTP, weights gathered, sent and pulled, rewards in their processes.
"""

import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from statistics import median
from typing import Final

from grpo_contract.metrics import Phase
from grpo_trainer import device
from grpo_trainer.instruments.metrics import LearnerMetrics
from perf.gpu import run
from perf.gpu.sizes import SIZES
from perf.gpu.steps import WARM_UP, StepTimes, mfu, step_figures
from perf.paced_process import running_paced_server
from perf.paced_server import Pace
from perf.result import Figures, write

STEPS: Final = 10
AT_ONCE: Final = 1e-6
"""Seconds per token."""


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
    name, model, out = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    size = SIZES[name]
    batch = size.learnt
    pace = Pace(AT_ONCE, batch.prompts * batch.generations, size.vocabulary)
    with tempfile.TemporaryDirectory() as folder, running_paced_server(run.GENERATORS, pace):
        config = run.run_config(model, Path(folder), batch, STEPS)
        phases, times = SeenPhases(), StepTimes()
        with (
            device.process_group(config.learners.device, config.deadlines.collective_s),
            run.learner_of(config, Path(folder), phases) as learner,
        ):
            learner.add_callback(times)
            learner.train()
            completion_tokens = batch.prompts * batch.generations * batch.tokens
            figures = step_figures(size.parameters, times.seconds, learner.state, completion_tokens)
    write(figures | phase_figures(size.parameters, figures["tokens"], phases.medians()), out)


def phase_figures(parameters: int, tokens: int, phases: dict[str, float]) -> Figures:
    return {"phase_s": phases, "learn_mfu": mfu(parameters, tokens, phases[Phase.LEARN.value])}


if __name__ == "__main__":
    main()
