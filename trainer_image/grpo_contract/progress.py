"""How far a run is: served by learner 0 under `network.PROGRESS_PATH`, copied by the operator into the run's status.

Field names in JSON are camelCase, as in the status. Numbers that do not exist (yet) are null, never NaN.
"""

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel


class Stage(StrEnum):
    """What learner 0 is doing."""

    LOADING = "Loading"
    WAITING_FOR_GENERATORS = "WaitingForGenerators"
    TRAINING = "Training"
    SAVING = "Saving"
    EVALUATING = "Evaluating"
    """After training; an evaluation between steps is part of Training."""
    FINISHED = "Finished"


class _Camel(BaseModel):
    # The docstrings of the fields end up in the CRD, because the run's status repeats them. An unknown field is of
    # another version of the trainer image or, in a status, of the operator.
    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="ignore",
        ser_json_inf_nan="null",
        allow_inf_nan=False,
        use_attribute_docstrings=True,
    )


class Steps(_Camel):
    """How far the run is."""

    step: int = 0
    """Optimizer steps done, over all attempts."""
    max_steps: int | None = None
    """Optimizer steps that the run will do."""
    epoch: float | None = None
    """Passes over the data set done."""
    seconds_per_step: float | None = None
    """Mean over the last ten steps of this attempt, without its first once there are others and without waits for a generator; absent before any step."""
    eta_seconds: float | None = None
    """Seconds until the last step, at that pace; absent before the second step of this attempt."""
    tokens_per_second: float | None = None
    """Completion tokens per second over the same steps."""
    generator_seconds: float | None = None
    """What a step's completions take of generators, in seconds of all of them together; mean over about the last ten steps of this attempt."""
    learning_seconds: float | None = None
    """Seconds of a step in which learners do not wait for completions, over the same steps."""
    ended_early: str | None = None
    """Why training ended before maxSteps; absent where it did not."""


class Metrics(_Camel):
    """What TRL logged last: means over the steps since the log before, under TRL's definitions."""

    reward: float | None = None
    """Mean reward of the completions, weighted sum over reward functions."""
    reward_std: float | None = None
    """Its standard deviation."""
    kl: float | None = None
    """KL divergence from the reference policy; absent when beta is 0, since TRL then computes none."""
    loss: float | None = None
    """Policy loss."""
    entropy: float | None = None
    """Mean entropy of the policy per completion token, in nats."""
    completion_length: float | None = None
    """Mean length of the completions, in tokens."""
    sampling_logp_difference_max: float | None = None
    """Largest difference between a generator's and the learner's log-probability of a sampled token."""
    rewards: dict[str, float] = {}
    """Mean of each reward function."""


class BestEvaluation(_Camel):
    """The best evaluation so far."""

    step: int
    """Optimizer steps that were done."""
    metric: str
    """By which evaluations are compared, as TRL logs it."""
    value: float
    """Of that metric."""


class EvaluationProgress(_Camel):
    """The last evaluation: means over the completions of the evaluation's rows, under TRL's definitions."""

    step: int
    """Optimizer steps that were done."""
    time: Annotated[str, Field(json_schema_extra={"format": "date-time"})]
    """When it was over; RFC 3339, UTC."""
    reward: float | None = None
    """Mean reward of the completions, weighted sum over reward functions."""
    reward_std: float | None = None
    """Its standard deviation."""
    completion_length: float | None = None
    """Mean length of the completions, in tokens."""
    rewards: dict[str, float] = {}
    """Mean of each reward function."""
    best: BestEvaluation | None = None
    """The best one so far; absent where evaluations are not compared."""


class CheckpointProgress(_Camel):
    """The newest checkpoint that a new attempt can resume from."""

    step: int
    """Optimizer steps that are in it."""
    time: Annotated[str, Field(json_schema_extra={"format": "date-time"})]
    """When it was complete; RFC 3339, UTC."""


class CheckpointTrouble(StrEnum):
    """Why a run would lose more than it should; the values of grpo_checkpoint_failures_total{reason}."""

    DAMAGED = "CheckpointDamaged"
    """A checkpoint was found not to be as it was written."""
    VOLUME_FULL = "VolumeFull"
    """A checkpoint was not written, for the volume is full."""
    NOT_WRITTEN = "CheckpointNotWritten"
    """A checkpoint was not written for another reason."""


def _known_trouble(trouble: str | None) -> str | None:
    """One that only a newer image knows is a trouble all the same."""
    return trouble if trouble is None or trouble in set(CheckpointTrouble) else CheckpointTrouble.NOT_WRITTEN


class CheckpointHealth(_Camel):
    """What became of the newest checkpoint: when it was written, or when the attempt looked for one to go on from."""

    trouble: Annotated[CheckpointTrouble | None, BeforeValidator(_known_trouble)] = None
    """Absent when it is whole, or when there is none yet."""
    message: str | None = None
    """What happened, and what to do."""


class GeneratorProgress(_Camel):
    name: str
    """Name of its pod."""
    in_sync: bool
    completions: int
    """Completions taken from it in this attempt."""
    has_left: bool = False
    """Its pod is gone, and its completions count all the same."""


class RewardHealth(_Camel):
    """How reliably reward functions score."""

    error_share: float
    """Share of the completions of the last steps that have no reward because a reward function failed."""
    last_error: str | None = None
    """What the newest of these failures was; absent when there was none in this attempt."""


class Progress(_Camel):
    attempt: int
    stage: Stage
    progress: Steps = Steps()
    metrics: Metrics = Metrics()
    evaluation: EvaluationProgress | None = None
    checkpoint: CheckpointProgress | None = None
    checkpoint_health: CheckpointHealth | None = None
    """Absent until the attempt has looked for a checkpoint, and from trainer images that do not know it."""
    weight_version: str | None = None
    generators: list[GeneratorProgress] = []
    reward_health: RewardHealth | None = None
    """Absent before the first step, and from trainer images that do not know it."""
    model: str | None = None
    """Folder of the trained model, once it is saved."""
    pushed: str | None = None
    """Commit on the hub that this attempt pushed last."""
    kept_models: list[int] = []
    """Steps of the checkpoints whose model is kept for a benchmark, oldest first."""

    def to_json(self) -> str:
        return self.model_dump_json(by_alias=True, exclude_none=True)
