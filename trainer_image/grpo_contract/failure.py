"""How a pod of a run says why it ended: exit codes and the message in `files.TERMINATION_FILE`."""

from enum import StrEnum
from typing import Final

from pydantic import BaseModel, ConfigDict

USER_ERROR_EXIT_CODE: Final = 78
"""EX_CONFIG of sysexits.h: the run cannot work as it was written; another attempt would end the same way."""


class PodReason(StrEnum):
    """Why a pod ended, by its own word. docs/reference.md has the docstrings; a reason that is none of these, from an image
    of another version, the operator takes for the role's usual one."""

    # Reasons of a user's mistake, found in a pod. Each message names field, value and remedy.
    INVALID_RECIPE = "InvalidRecipe"
    """A key of the recipe, or a field that goes with it, cannot work as it is written."""
    DATASET_NOT_FOUND = "DatasetNotFound"
    """The data set, its configuration or its split does not exist, or cannot be loaded: correct `dataset_name` or the key that the
    message names, or put the data on the volume."""
    COLUMN_NOT_FOUND = "ColumnNotFound"
    """A data set lacks a column that the recipe or a reward function asks for."""
    MODEL_NOT_FOUND = "ModelNotFound"
    """There is no such model or revision, or what is there is no model: correct `model_name_or_path` or its revision, or give the
    pods a token for a gated one (`env` of both roles)."""
    REWARD_NOT_FOUND = "RewardNotFound"
    """A reward function, or its code, is not there or cannot be imported."""

    # Found when steps are made, and another attempt would mostly find it again.
    REWARDS_FAILING = "RewardsFailing"
    """More completions have lost their reward than `spec.rewards.maxErrorShare` allows. There is no other attempt: mend the function
    or service that the message names, or allow more, and start another run."""

    # Mistakes where another attempt would find the same, else trouble; `grpo_trainer.exhaustion` tells them apart.
    GPU_OUT_OF_MEMORY = "GpuOutOfMemory"
    """A learner's GPU has too little memory: the message names the keys that save some. There is no other attempt when this one had
    made no step."""
    VOLUME_FULL = "VolumeFull"
    """The run's volume is full: enlarge it, or keep fewer checkpoints (`checkpoint.keep`). There is no other attempt when the run has
    no checkpoint yet."""

    # Reasons of trouble that another attempt may not meet again.
    GENERATORS_LOST = "GeneratorsLost"
    """No generator was left to write completions, until `deadlines.generatorsSeconds` were over: see GeneratorsReady and the
    generators' logs."""
    RENDEZVOUS_TIMEOUT = "RendezvousTimeout"
    """Learner pods did not find each other within `deadlines.rendezvousSeconds`: look for some that are pending, and at the
    cluster's DNS."""
    LOADING_TIMEOUT = "LoadingTimeout"
    """What a learner loads before its first step was not there within `deadlines.loadingSeconds`: look at the hub and the
    volume, or raise it."""
    GENERATE_TIMEOUT = "GenerateTimeout"
    """Requests for completions neither were answered nor failed in time (`deadlines.generateSeconds`): see the generators' logs."""
    WEIGHT_SYNC_TIMEOUT = "WeightSyncTimeout"
    """Generators neither took new weights nor failed in time (`deadlines.weightSyncSeconds`): see their logs and the network between
    the pods, or raise it."""
    COLLECTIVE_TIMEOUT = "CollectiveTimeout"
    """A learner process waited for others, or hung, for `deadlines.collectiveSeconds`: one of them has stopped, or cannot be
    reached. The stacks of all its threads are in its log."""
    CHECKPOINT_TIMEOUT = "CheckpointTimeout"
    """A checkpoint, or the trained model, was not written within `deadlines.checkpointSeconds`, or not seen by all learners: look at
    the volume's server and its room, or raise it."""
    LEARNER_ASKED_TO_END = "LearnerAskedToEnd"
    """A learner pod was asked to end: it was deleted, or its node is drained. All learners of the attempt ended with it, and
    have saved the last finished step if there was one and the volume took it. It does not count against spec.maxRestarts."""
    HUB_UNREACHABLE = "HubUnreachable"
    """The hub gives no answer: let the pods reach it, or give paths on the volume."""
    LEARNER_ERROR = "LearnerError"
    """A learner failed otherwise; its log says more."""

    # Of a benchmark.
    BENCHMARK_ERROR = "BenchmarkError"
    """A benchmark of the run's models failed, or left no results: the message has the program's words, the pod its log."""

    # Of a generator.
    GENERATOR_ERROR = "GeneratorError"
    """A generator failed; its log says more."""


QUOTED_CHARACTERS: Final = 500
"""What a message quotes of a library's own words, at most."""


class Failure(BaseModel):
    """What a failing pod leaves in its termination file."""

    # An unknown field is of a newer image than the operator's.
    model_config = ConfigDict(extra="ignore", frozen=True)

    reason: str
    message: str
    follows: bool = False
    """It ended because another pod of the attempt did, which has the cause."""

    def to_json(self) -> str:
        return self.model_dump_json(exclude_defaults=True)


class RunFailure(Exception):
    """Ends a pod with a named reason. Another attempt may succeed."""

    def __init__(self, reason: str, message: str, *, follows: bool = False) -> None:
        super().__init__(message)
        self.failure = Failure(reason=reason, message=message, follows=follows)


class UserError(RunFailure):
    """A mistake in the run itself, which no other attempt repairs: one sentence with field, value and remedy."""
