"""What operator, learners and generators tell each other may come from a newer image: what it adds is ignored."""

from typing import Any

import pytest
from pydantic import BaseModel

from grpo_contract.config import CheckpointConfig
from grpo_contract.failure import Failure, PodReason
from grpo_contract.progress import (
    CheckpointHealth,
    CheckpointProgress,
    CheckpointTrouble,
    GeneratorProgress,
    Progress,
    RewardHealth,
    Stage,
    Steps,
)
from grpo_contract.weights import StagedWeights, TensorInfo, WeightOffer
from grpo_operator.desired.config import run_config
from unit.desired_inputs import make_run, make_settings

FREE = ("recipe", "metrics.rewards")
"""Fields whose keys are the user's."""

OLD_RECIPE = make_run().spec.recipe | {"torch_dtype": "bfloat16"}
TOLD: dict[str, BaseModel] = {
    "config": run_config(make_run(recipe=OLD_RECIPE), make_settings()),
    "progress": Progress(
        attempt=1,
        stage=Stage.TRAINING,
        progress=Steps(step=3),
        reward_health=RewardHealth(error_share=0.25, last_error="accuracy: Timeout: slow"),
        checkpoint=CheckpointProgress(step=2, time="2026-06-01T12:00:00Z"),
        checkpoint_health=CheckpointHealth(trouble=CheckpointTrouble.VOLUME_FULL, message="It is full."),
        generators=[GeneratorProgress(name="a", in_sync=True, completions=4)],
    ),
    "failure": Failure(reason=PodReason.GENERATORS_LOST, message="None answers."),
    "offer of weights": WeightOffer(
        version="a-1",
        host="10.0.0.1",
        port=7,
        token="t",
        tensors=(TensorInfo(name="w", dtype="float32", shape=(2, 3)),),
        total_bytes=24,
        block_bytes=4096,
        deadline_s=60,
    ),
    "staged weights": StagedWeights(
        path="/proc/1/fd/3", version="a-1", tensors=(TensorInfo(name="w", dtype="float32", shape=(2, 3)),)
    ),
}


def grown(value: Any, at: str = "") -> Any:
    """With one more field in each object."""
    if isinstance(value, list):
        return [grown(entry, at) for entry in value]
    if not isinstance(value, dict) or at.endswith(FREE):
        return value
    return {key: grown(entry, f"{at}.{key}") for key, entry in value.items()} | {"of_a_newer_version": 1}


@pytest.mark.parametrize("what", TOLD)
def test_a_field_of_a_newer_version_is_ignored(what: str) -> None:
    told = TOLD[what]
    assert type(told).model_validate(grown(told.model_dump(mode="json", by_alias=True))) == told


def test_a_misspelt_field_of_our_own_is_found_by_the_types() -> None:
    """mypy complains of the comment when it does not find the mistake."""
    written = CheckpointConfig(every_steps=1, keep=2, kep=3)  # type: ignore[call-arg]
    assert written == CheckpointConfig(every_steps=1, keep=2)
