"""The file that tells learners and generators what to run (`files.CONFIG_FILE`).

Written by the operator from an accepted GRPORun. Whatever may change while a run goes on (the number of generators,
the attempt) is not in it, so that a change never touches running pods; but for deadlines and
what is kept of completions, which a learner reads when it starts.
"""

from typing import Annotated, Any, Final, Literal

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


class CompletionsConfig(_Config):
    """What is kept on the volume of what learners learnt from, for people to read."""

    groups_per_step: int | None = Field(default=None, ge=0)
    """None: all."""
    max_bytes: Positive = 5 << 30
    """The oldest are removed beyond it, or beyond a tenth of the volume."""


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


SECONDS_PER_TOKEN: Final = 0.25
"""Of a completion, from a generator that is as full as it gets. A busy GPU writes several times as fast."""


LIBRARIES_LATER_S: Final = 30.0
"""Than the deadline that a step has with us."""


class Deadlines(_Config):
    """Seconds after which a step across a process boundary ends in a named reason instead of waiting on. What a run does not say
    in `spec.deadlines` is as it is here."""

    rendezvous_s: float = 900
    """Until all learner pods have found each other."""
    loading_s: float = 7200
    """Of what a learner loads before its first step, one thing: a model of 140 GB comes so with 20 MB/s. The others wait for
    the slowest."""
    rewards_loading_s: float = 600
    """Of a module of reward functions, which may load a model of its own."""
    generators_s: float = 1800
    """Until a first generator answers, and after the last one was lost. Covers loading a large model."""
    generate_s: float = 1800
    """One request to a generator, longest completions included."""
    control_s: float = 10
    """Small requests to a generator: version, health, pause, resume."""
    weight_sync_s: float = 600
    """One transfer of all weights to a generator, and each half of its swap."""
    collective_s: float = 1800
    """From the beginning of one collective operation to that of the next one: a layer, forward or backward, or what ranks do for
    themselves, such as scoring."""
    scoring_s: float = 1500
    """All rewards of one batch on one rank. The other ranks wait in a collective meanwhile, so it is less than that."""
    checkpoint_s: float = 7200
    """What one rank writes of a checkpoint or of the trained model, or flushes of it: 1 TB comes so to a volume with 140 MB/s."""

    @property
    def launch_s(self) -> float:
        """Until a learner pod serves its state: its launcher loads three things."""
        return 3 * self.loading_s

    @property
    def update_s(self) -> float:
        """All requests of an update of one generator: three are about weights, and there are less than ten others; and each
        may take `control_s` to connect."""
        return 3 * self.weight_sync_s + 12 * self.control_s

    @property
    def sync_s(self) -> float:
        """Until each generator has new weights, or is lost: updates to older ones may be under way, and one may wait for that."""
        return 3 * self.update_s

    @property
    def fleet_s(self) -> float:
        """Within this, of the requests for completions one ends, or there is no generator for too long."""
        return self.generate_s + self.sync_s + self.generators_s

    @property
    def end_s(self) -> float:
        """Until all processes have ended together. Learner 0 pushes, for less than `collective_s`, and then waits for trackers and
        for Prometheus, a minute each."""
        return self.collective_s + 180

    @property
    def library_s(self) -> float:
        """Of libraries, whose time-outs know no reason: later than any of ours."""
        ours = (
            self.rendezvous_s,
            self.loading_s,
            self.rewards_loading_s,
            self.checkpoint_s,
            self.sync_s,
            self.fleet_s,
            self.end_s,
        )
        return max(ours) + LIBRARIES_LATER_S


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
    completions: CompletionsConfig = CompletionsConfig()

    @property
    def world_size(self) -> int:
        return self.learners.pods * self.learners.processes_per_pod
