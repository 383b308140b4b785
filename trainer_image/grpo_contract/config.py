"""The file that tells learners and generators what to run (`files.CONFIG_FILE`).

Written by the operator from an accepted GRPORun. Whatever may change while a run goes on (the number of generators,
the attempt) is not in it, so that a change never touches running pods.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from grpo_contract.recipe.old_keys import Note

Device = Literal["cuda", "cpu"]
Positive = Annotated[int, Field(ge=1)]


class _Config(BaseModel):
    # An unknown field is of a newer operator: it writes the file for pods whose image the run may have pinned.
    model_config = ConfigDict(extra="ignore", frozen=True)


class LearnerConfig(_Config):
    pods: Positive
    processes_per_pod: Positive
    device: Device
    rendezvous_host: str
    """DNS name of learner 0."""


class GeneratorConfig(_Config):
    service: str
    """DNS name with one address per generator, ready or not."""
    tensor_parallel_size: Positive
    device: Device
    max_staleness: int = Field(default=0, ge=0)
    """How many versions older than the weights that learn from them those may be that completions were sampled from. With 0
    generation and learning take turns."""


class SamplingConfig(_Config):
    dynamic: bool = False
    """Groups whose rewards are all equal are replaced by groups of other prompts."""
    max_rounds: Positive = 3
    """How often others are asked for, at most. What is left then is learnt from as it is."""


class CheckpointConfig(_Config):
    every_steps: Positive
    keep: Positive


class RewardCode(_Config):
    """Where modules of reward functions lie: one of the two."""

    config_map: str | None = None
    """Name of a ConfigMap, which learners find at `files.reward_code_folder`."""
    path: str | None = None
    """A folder, a .py file or a wheel."""


class RewardsConfig(_Config):
    timeout_s: float = Field(default=60, gt=0)
    """One call of a reward function."""
    max_error_share: float = Field(default=0.2, ge=0)
    """Of the completions of the last steps, how many may lose their reward to failures before the run stops."""
    code: tuple[RewardCode, ...] = ()
    """Searched in this order, before what the image holds."""
    per_group: tuple[str, ...] = ()
    """Functions of the user's, as the recipe names them, that need no more than the completions of a prompt."""


class Deadlines(_Config):
    """Seconds after which a step across a process boundary ends in a named reason instead of waiting on."""

    rendezvous_s: float = 900
    generators_s: float = 1800
    """Until a first generator answers, and after the last one was lost. Covers loading a large model."""
    generate_s: float = 1800
    """One request to a generator, longest completions included."""
    control_s: float = 10
    """Small requests to a generator: version, health, pause, resume."""
    weight_sync_s: float = 600
    collective_s: float = 1800
    scoring_s: float = 1500
    """All rewards of one batch on one rank. The other ranks wait in a collective meanwhile, so it is less than that."""


class RunConfig(_Config):
    name: str
    uid: str
    recipe: dict[str, Any]
    """In today's keys."""
    recipe_notes: tuple[Note, ...] = ()
    """What was done to the user's recipe on the way here."""
    learners: LearnerConfig
    generators: GeneratorConfig
    checkpoint: CheckpointConfig
    rewards: RewardsConfig = RewardsConfig()
    sampling: SamplingConfig = SamplingConfig()
    keeps_models: bool = False
    """Whether the models of the recipe's checkpoints are wanted for benchmarks, after the checkpoints are gone."""
    deadlines: Deadlines = Deadlines()

    @property
    def world_size(self) -> int:
        return self.learners.pods * self.learners.processes_per_pod
