"""`status` of a GRPORun. Conditions are the truth; `phase` is derived from them for people."""

from enum import StrEnum
from typing import Annotated, Literal

from grpo_contract.progress import CheckpointProgress, Metrics, Steps
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel


class _Status(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True)


class Phase(StrEnum):
    PENDING = "Pending"
    """Not accepted yet, or refused."""
    STARTING = "Starting"
    """Pods are being created, or load the model."""
    RUNNING = "Running"
    """Steps are being made."""
    RESTARTING = "Restarting"
    """An attempt failed; the next one starts from the newest checkpoint."""
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"


class ConditionType(StrEnum):
    ACCEPTED = "Accepted"
    """The run can be started as it is written."""
    STORAGE_READY = "StorageReady"
    """The volume exists and all pods can mount it."""
    GENERATORS_READY = "GeneratorsReady"
    """All generators hold weights of this run and answer."""
    LEARNERS_READY = "LearnersReady"
    """All learner pods of the current attempt run."""
    WEIGHTS_IN_SYNC = "WeightsInSync"
    """All ready generators hold the learner's current weights."""
    PROGRESSING = "Progressing"
    """Steps are being made, or something on the way there is."""
    SUCCEEDED = "Succeeded"
    """The run ended well; its model is saved."""
    FAILED = "Failed"
    """The run ended and will not be tried again."""


class Condition(_Status):
    """As metav1.Condition."""

    type: ConditionType
    status: Literal["True", "False", "Unknown"]
    reason: str
    message: str
    observed_generation: int
    last_transition_time: str


class LearnerStatus(_Status):
    desired: int = 0
    ready: int = 0
    restarts: int = 0
    """Attempts that failed before this one."""


class GeneratorStatus(_Status):
    desired: int = 0
    replicas: int = 0
    """Pods that exist, for the scale subresource."""
    ready: int = 0
    in_sync: int = 0
    weight_version: str | None = None
    selector: str = ""
    """Label selector of the pods, for the scale subresource."""


class LastFailure(_Status):
    """Why the last attempt, or the run, failed."""

    attempt: int
    pod: str | None = None
    exit_code: int | None = None
    reason: str
    message: str
    log: Annotated[list[str], Field(description="Last lines of the failing pod's log.")] = []


class GRPORunStatus(_Status):
    observed_generation: int = 0
    phase: Phase = Phase.PENDING
    conditions: list[Condition] = []
    attempt: int = 1
    progress: Steps = Steps()
    metrics: Metrics = Metrics()
    checkpoint: CheckpointProgress | None = None
    learners: LearnerStatus = LearnerStatus()
    generators: GeneratorStatus = GeneratorStatus()
    last_failure: LastFailure | None = None
    output: str | None = None
    """Folder on the volume that holds the run's checkpoints and model."""
    model: str | None = None
    """Folder of the trained model, once it is saved."""
    started_at: str | None = None
    finished_at: str | None = None
