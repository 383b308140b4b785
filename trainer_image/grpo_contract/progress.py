"""How far a run is: served by learner 0 under `network.PROGRESS_PATH`, copied by the operator into the run's status.

Field names in JSON are camelCase, as in the status. Numbers that do not exist (yet) are null, never NaN.
"""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class Stage(StrEnum):
    """What learner 0 is doing."""

    LOADING = "Loading"
    WAITING_FOR_GENERATORS = "WaitingForGenerators"
    TRAINING = "Training"
    SAVING = "Saving"
    FINISHED = "Finished"


class _Camel(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", ser_json_inf_nan="null")


class Steps(_Camel):
    step: int = 0
    """Optimizer steps done, over all attempts."""
    max_steps: int | None = None
    epoch: float | None = None
    seconds_per_step: float | None = None
    """Mean over the last ten steps."""
    eta_seconds: float | None = None
    tokens_per_second: float | None = None
    """Completion tokens per second over the last ten steps."""


class Metrics(_Camel):
    """The last logged step's values under TRL's definitions."""

    reward: float | None = None
    reward_std: float | None = None
    kl: float | None = None
    loss: float | None = None
    entropy: float | None = None
    completion_length: float | None = None
    sampling_logp_difference_max: float | None = None
    rewards: dict[str, float] = {}
    """Mean of each reward function."""


class CheckpointProgress(_Camel):
    step: int
    time: str
    """RFC 3339, UTC."""


class GeneratorProgress(_Camel):
    name: str
    """Name of its pod."""
    in_sync: bool
    completions: int
    """Completions taken from it in this attempt."""


class Progress(_Camel):
    attempt: int
    stage: Stage
    progress: Steps = Steps()
    metrics: Metrics = Metrics()
    checkpoint: CheckpointProgress | None = None
    weight_version: str | None = None
    generators: list[GeneratorProgress] = []
    model: str | None = None
    """Folder of the trained model, once it is saved."""

    def to_json(self) -> str:
        return self.model_dump_json(by_alias=True, exclude_none=True)
