"""A training whose completions come at once and whose weights go nowhere: production code but for the fleet."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from grpo_trainer import device
from grpo_trainer.fleet import generation
from grpo_trainer.instruments.metrics import LearnerMetrics
from grpo_trainer.learner import Learner
from perf.gpu import run
from perf.gpu.answers import InstantGenerators
from perf.gpu.sizes import Size


class WithoutFleet(generation.FleetGeneration):
    """Its walk over the parameters is FleetGeneration's."""

    def __init__(self, *args: Any, answers: InstantGenerators, **kwargs: Any) -> None:
        self._answers = answers
        super().__init__(*args, **kwargs)

    def _init_vllm(self) -> None:
        pass

    def generate(self, *args: Any, **kwargs: Any) -> Any:
        return self._answers.generate(*args, **kwargs)


@contextmanager
def learner_with(kind: type[WithoutFleet], size: Size, model: Path, steps: int) -> Iterator[Learner]:
    """Its `vllm_generation` is of that kind."""
    answers = InstantGenerators(size.watched.tokens, size.vocabulary)

    def made(*args: Any, **kwargs: Any) -> WithoutFleet:
        return kind(*args, answers=answers, **kwargs)

    with tempfile.TemporaryDirectory() as folder, patch.object(generation, "FleetGeneration", made):
        config = run.run_config(model, Path(folder), size.watched, steps)
        with (
            device.process_group(config.learners.device, config.deadlines.collective_s),
            run.learner_of(config, Path(folder), LearnerMetrics(None)) as learner,
        ):
            yield learner
