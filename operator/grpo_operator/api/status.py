"""`status` of a GRPORun. Conditions are the truth; `phase` is derived from them for people.

A stored status may be a newer operator's: what it holds and this operator does not know is passed over.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

from grpo_contract.progress import CheckpointProgress, EvaluationProgress, Metrics, Steps

Time = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
"""RFC 3339, UTC."""


class _Status(BaseModel):
    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True, use_attribute_docstrings=True
    )


class Phase(StrEnum):
    PENDING = "Pending"
    """Not accepted yet, or refused."""
    STARTING = "Starting"
    """Pods are being created, or load the model."""
    RUNNING = "Running"
    """Steps are being made, or were until all generators were lost."""
    RESTARTING = "Restarting"
    """An attempt failed, or was ended by spec.suspend or a disruption; the next one starts from the newest checkpoint, or from the beginning
    when there is none."""
    SUSPENDING = "Suspending"
    """spec.suspend is true, and pods of the run are still ending."""
    SUSPENDED = "Suspended"
    """spec.suspend is true, and the run has no pods."""
    SUCCEEDED = "Succeeded"
    """All steps were made and the model is saved."""
    FAILED = "Failed"
    """The run ended. It is not tried again, unless spec.maxRestarts ended it and is raised."""


class ConditionType(StrEnum):
    ACCEPTED = "Accepted"
    """The run can be started as it is written."""
    STORAGE_READY = "StorageReady"
    """The volume exists and pods can write to it, on all nodes or, as the reason says, on one."""
    GENERATORS_READY = "GeneratorsReady"
    """All generators hold weights of this run and answer."""
    LEARNERS_READY = "LearnersReady"
    """All learner pods of the current attempt run."""
    WEIGHTS_IN_SYNC = "WeightsInSync"
    """All ready generators hold the learner's weights: the current ones, or some that spec.generators.maxStaleness allows."""
    PROGRESSING = "Progressing"
    """Steps are being made, or something on the way there is."""
    BENCHMARKED = "Benchmarked"
    """All models that the recipe's `benchmarks` are made of, as far as there are any, are benchmarked; absent without them."""
    REWARDS_HEALTHY = "RewardsHealthy"
    """No more completions lose their reward to failures of reward functions than spec.rewards.maxErrorShare allows; said
    once steps are made."""
    CHECKPOINT_HEALTHY = "CheckpointHealthy"
    """The newest checkpoint was written when it was due, and was whole when an attempt last began with it."""
    SUSPENDED = "Suspended"
    """spec.suspend is true, and the run has no pods; absent of a run that never was."""
    SUCCEEDED = "Succeeded"
    """The run ended well; its model is saved."""
    FAILED = "Failed"
    """The run ended. It is not tried again, unless spec.maxRestarts ended it and is raised."""


class Condition(_Status):
    """As metav1.Condition."""

    type: ConditionType
    """What the condition is about."""
    status: Literal["True", "False", "Unknown"]
    """Whether it holds."""
    reason: str
    """Why, in one word, for programs."""
    message: str
    """Why, in one sentence, and what to do, for people."""
    observed_generation: int
    """metadata.generation that this was seen at."""
    last_transition_time: Time
    """When `status` last changed."""


def _of_known_types(conditions: Sequence[Any]) -> list[Any]:
    """Of another operator's conditions it alone can say whether they still hold."""
    return [entry for entry in conditions if not isinstance(entry, Mapping) or entry.get("type") in set(ConditionType)]


def _known_phase(phase: str) -> str:
    """It is derived anew at each look."""
    return phase if phase in set(Phase) else Phase.PENDING


class RecipeNote(_Status):
    key: str
    """Key of the recipe, as it is written there."""
    action: str
    """What was done about it."""


class RecipeStatus(_Status):
    """What became of the recipe."""

    notes: list[RecipeNote] = []
    """Keys of an older recipe that were translated or have no effect, and left-out keys whose defaults have moved."""
    digest: str | None = None
    """Of the recipe by which the run's steps are made, in all attempts; absent before the first step. The condition Accepted
    says when spec.recipe has become another."""


class LearnerStatus(_Status):
    desired: int = 0
    """Pods that the run asks for."""
    ready: int = 0
    """Pods of the current attempt that are ready."""
    restarts: int = 0
    """Attempts that failed before this one; those that a suspension or a disruption ended are none of them."""


class GeneratorStatus(_Status):
    desired: int = 0
    """Pods that the run asks for."""
    replicas: int = 0
    """Pods that exist, for the scale subresource."""
    ready: int = 0
    """Pods that hold weights of the run and answer."""
    first_ready_at: Time | None = None
    """When the first of them was ready. From then on one that cannot work does not end the run."""
    in_sync: int = 0
    """Pods that hold the learner's weights: the current ones, or some that spec.generators.maxStaleness allows."""
    weight_version: str | None = None
    """Version of the learner's current weights."""
    recommended: int | None = None
    """Pods with which, as far as the last steps tell, neither side would wait much for the other, or twice as many as there are
    where learners mostly wait; absent before steps tell, and where the two take turns of like length: no number helps there."""
    selector: str = ""
    """Label selector of the pods, for the scale subresource."""


class BenchmarkPhase(StrEnum):
    PENDING = "Pending"
    """It waits for its turn: a run has one at a time."""
    RUNNING = "Running"
    """Its Job is there."""
    SUCCEEDED = "Succeeded"
    """Its scores are there."""
    FAILED = "Failed"
    """It ended without scores, and is not tried again."""


BENCHMARK_OVER: Final = (BenchmarkPhase.SUCCEEDED, BenchmarkPhase.FAILED)


def _known_benchmark_phase(phase: str) -> str:
    """It is derived anew from its Job."""
    return phase if phase in set(BenchmarkPhase) else BenchmarkPhase.PENDING


class BenchmarkStatus(_Status):
    """The benchmark of one of the run's models."""

    target: str
    """Whose it is: `checkpoint-<step>`, or `model` for the trained model."""
    step: int
    """Optimizer steps that the model has made."""
    phase: Annotated[BenchmarkPhase, BeforeValidator(_known_benchmark_phase), Field(description="How far it is.")] = (
        BenchmarkPhase.PENDING
    )
    scores: dict[str, dict[str, float]] = {}
    """What it found, as task, metric and value, by the names that its program gives them."""
    message: str | None = None
    """Why it failed."""


class LastFailure(_Status):
    """Why the last attempt, or the run, failed."""

    attempt: int
    """The attempt that failed."""
    time: Time
    """When its failure was noticed."""
    pod: str | None = None
    """The pod that failed first."""
    exit_code: int | None = None
    """Its container's exit code."""
    reason: str
    """Why, in one word, for programs."""
    message: str
    """Why, in one sentence, and what to do, for people."""
    log: list[str] = []
    """Last lines of the failing pod's log."""


class GRPORunStatus(_Status):
    """What the run is doing, how well, and why it stopped. Written by the operator."""

    observed_generation: int = 0
    """metadata.generation that this status was made from."""
    phase: Annotated[Phase, BeforeValidator(_known_phase), Field(description="The conditions in one word.")] = (
        Phase.PENDING
    )
    conditions: Annotated[
        list[Condition],
        BeforeValidator(_of_known_types),
        Field(json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}),
    ] = []
    """The state of the run, one entry per type."""
    attempt: int = 1
    """Current attempt; a new one begins at the newest checkpoint, or at the first step when there is none."""
    recipe: RecipeStatus = RecipeStatus()
    progress: Steps = Steps()
    metrics: Metrics = Metrics()
    """What TRL logged last: means over the steps since the log before (one step unless the recipe sets logging_steps), to
    four significant digits; Prometheus has all of them."""
    evaluation: EvaluationProgress | None = None
    checkpoint: CheckpointProgress | None = None
    learners: LearnerStatus = LearnerStatus()
    """Learner pods."""
    generators: GeneratorStatus = GeneratorStatus()
    """Generator pods."""
    recommendation: str | None = None
    """What would shorten the steps, or free generators without making them longer; absent where the run is well as it is."""
    benchmarks: Annotated[
        list[BenchmarkStatus],
        Field(json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["target"]}),
    ] = []
    """Of the recipe's `benchmarks`: one for each of its checkpoints and for the trained model, the newest hundred."""
    last_failure: LastFailure | None = None
    output: str | None = None
    """Folder on the volume that holds the run's checkpoints and model."""
    model: str | None = None
    """Folder of the trained model, once it is saved."""
    pushed: str | None = None
    """Commit on the hub that the run pushed last, of a checkpoint or of the trained model."""
    started_at: Time | None = None
    """When the run was accepted and not suspended, or the first of its objects made. From then on its recipe cannot change."""
    suspended_at: Time | None = None
    """Since when spec.suspend has held the run."""
    suspensions: int = 0
    """How often the run has gone on, with another attempt, after a suspension."""
    disruptions: int = 0
    """How often an attempt was ended without any fault of the run's: by an eviction, a preemption, a drain, a lost node, or
    the deletion of a learner pod. spec.maxRestarts does not count them."""
    attempts_without_step: int = 0
    """So many attempts in a row failed or were disrupted before they had made a step: the pause before the next one grows with
    them. A step sets it to 0."""
    inactive_seconds: int = 0
    """Seconds since startedAt, as far as they are over, in which the run was suspended, or had failed until spec.maxRestarts was
    raised. spec.activeDeadlineSeconds does not count them."""
    finished_at: Time | None = None
    """When the run succeeded or failed."""
