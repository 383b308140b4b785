"""What the learner, the operator and the container that reports agree on about a run's benchmarks (docs/benchmarks.md).

A model to benchmark is a target: the one of a checkpoint, or the trained one.
"""

from typing import Final

from pydantic import BaseModel, ConfigDict

TRAINED_MODEL: Final = "model"
"""The target that is the trained model."""

ALL: Final = "all"
"""In a recipe, Open-R1's word for every benchmark that there is."""

MODEL_FOLDER: Final = "model"
"""In the folder of a checkpoint's target: the model, until it is benchmarked."""

MERGED_FOLDER: Final = "merged"
"""Beside it: what is benchmarked, where the model is an adapter."""

MERGE_MODULE: Final = "grpo_trainer.storage.merge_adapter"
"""The program that makes it, in the learners' image: `python -m MODULE ADAPTER MODEL [--trust-remote-code]`."""

RESULTS_FOLDER: Final = "results"
"""In the folder of a target: what the benchmark wrote."""

MOST_KEPT: Final = 10
"""Models that may wait for their benchmark. Where checkpoints come faster than benchmarks, the oldest give way: kept without
end, they would fill the volume."""

_CHECKPOINT: Final = "checkpoint-"


def target_of(step: int) -> str:
    """Of the checkpoint of that step."""
    return f"{_CHECKPOINT}{step}"


def step_of(target: str) -> int | None:
    """None of what is no checkpoint's target."""
    number = target.removeprefix(_CHECKPOINT)
    return int(number) if number != target and number.isdecimal() else None


class BenchmarkScores(BaseModel):
    """What a benchmark's pod leaves in its termination file."""

    # An unknown field is of a newer image than the operator's.
    model_config = ConfigDict(extra="ignore", frozen=True)

    scores: dict[str, dict[str, float]]
    """{task: {metric: value}}, by the names that the benchmark's program gives them."""
