"""How a pod of a run says why it ended: exit codes and the message in `files.TERMINATION_FILE`."""

from typing import Final

from pydantic import BaseModel, ConfigDict

USER_ERROR_EXIT_CODE: Final = 78
"""EX_CONFIG of sysexits.h: the run cannot work as it was written; another attempt would end the same way."""

# Reasons of a user's mistake, found in a pod. Each message names field, value and remedy.
INVALID_RECIPE: Final = "InvalidRecipe"
DATASET_NOT_FOUND: Final = "DatasetNotFound"
COLUMN_NOT_FOUND: Final = "ColumnNotFound"
MODEL_NOT_FOUND: Final = "ModelNotFound"
REWARD_NOT_FOUND: Final = "RewardNotFound"

# Found when steps are made, and another attempt would mostly find it again.
REWARDS_FAILING: Final = "RewardsFailing"

# Mistakes where another attempt would find the same, else trouble; `grpo_trainer.exhaustion` tells them apart.
GPU_OUT_OF_MEMORY: Final = "GpuOutOfMemory"
VOLUME_FULL: Final = "VolumeFull"

# Reasons of trouble that another attempt may not meet again.
GENERATORS_LOST: Final = "GeneratorsLost"
RENDEZVOUS_TIMEOUT: Final = "RendezvousTimeout"
HUB_UNREACHABLE: Final = "HubUnreachable"
LEARNER_ERROR: Final = "LearnerError"

# Of a generator.
GENERATOR_ERROR: Final = "GeneratorError"

QUOTED_CHARACTERS: Final = 500
"""What a message quotes of a library's own words, at most."""


class Failure(BaseModel):
    """What a failing pod leaves in its termination file."""

    # An unknown field is of a newer image than the operator's.
    model_config = ConfigDict(extra="ignore", frozen=True)

    reason: str
    message: str


class RunFailure(Exception):
    """Ends a pod with a named reason. Another attempt may succeed."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.failure = Failure(reason=reason, message=message)


class UserError(RunFailure):
    """A mistake in the run itself, which no other attempt repairs: one sentence with field, value and remedy."""
