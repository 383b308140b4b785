"""A training whose completions come at once and whose weights go nowhere: production code but for the fleet."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

from grpo_trainer import device
from grpo_trainer.fleet import generation
from grpo_trainer.instruments.metrics import LearnerMetrics
from grpo_trainer.learner import Learner
from perf.gpu import run
from perf.gpu.answers import InstantGenerators
from perf.gpu.sizes import Size
from trainer.played_generation import PlayedGeneration


class Walk(generation.FleetGeneration):
    """Over the parameters, and nothing else of it."""

    def _init_vllm(self) -> None:
        pass


class WithoutFleet(PlayedGeneration):
    def __init__(self, settings: Any, *, answers: InstantGenerators, **kwargs: Any) -> None:
        super().__init__()
        self._answers = answers
        self._walk = Walk(settings, **kwargs)

    def generate(self, *args: Any, **kwargs: Any) -> Any:
        return self._answers.generate(*args, **kwargs)

    def weights(self) -> Iterator[tuple[str, torch.Tensor]]:
        """As generators would get them, and as bfloat16 also where a machine without a GPU learns in float32."""
        return ((name, weight.to(torch.bfloat16)) for name, weight in self._walk._iter_named_params())


@contextmanager
def learner_with(kind: type[WithoutFleet], size: Size, model: Path, steps: int) -> Iterator[Learner]:
    """Its `vllm_generation` is of that kind."""
    answers = InstantGenerators(size.watched.tokens, size.vocabulary)

    def made(*args: Any, **kwargs: Any) -> WithoutFleet:
        return kind(*args, answers=answers, **kwargs)

    with tempfile.TemporaryDirectory() as folder, patch.object(generation, "FleetGeneration", made):
        config = run.run_config(model, Path(folder), size.watched, steps)
        with (
            device.process_group(config.learners.device, config.deadlines),
            run.learner_of(config, Path(folder), LearnerMetrics(None)) as learner,
        ):
            yield learner
