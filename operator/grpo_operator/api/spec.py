"""`spec` of a GRPORun. Field names are camelCase in YAML; recipe keys are TRL's own.

Rules across fields, among them "at least one pod", are in rules.py; the recipe's keys are in recipe_schema.json.
"""

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from grpo_contract.config import SECONDS_PER_TOKEN, Deadlines, RewardsConfig, SamplingConfig
from grpo_contract.recipe.defaults import ERAS
from grpo_contract.rewards import ERROR_WINDOW_STEPS
from grpo_operator.api.core_types import (
    POSITIVE_QUANTITY,
    Affinity,
    EnvironmentVariables,
    PodTemplate,
    Resources,
    Tolerations,
)

Object = dict[str, Any]
Name = Annotated[str, Field(min_length=1, max_length=253)]
MOST_STALENESS: Final = 16
"""Beyond it there is nothing left to hide, and little to correct."""
MOST_ROUNDS: Final = 16
"""Whose prompts have not taught anything by then are rather too easy or too hard altogether."""
AccessMode = Literal["ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod"]


Seconds = Annotated[int, Field(le=2**31 - 1)]
"""As many as fields of this kind of Kubernetes' own objects take."""
LONGEST_DEADLINE_S: Final = 7 * 24 * 3600
LEAST_COLLECTIVE_S: Final = 60
"""What learners do for themselves takes moments, and on a busy machine seconds; some of it waits for others for a minute."""
_DEADLINES: Final = Deadlines()


class ApiModel(BaseModel):
    # Unknown fields are the API server's to refuse. One of them here is of a newer CRD than this operator.
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True)


class PodSettings(ApiModel):
    """What learners and generators have in common: how their pods run. It may change at any time."""

    image: Annotated[
        str | None, Field(min_length=1, description="Image of the pods. Absent: the operator's setting for the role.")
    ] = None
    resources: Annotated[
        Resources, Field(description="Requests and limits of the container; GPUs are added by `gpus`.")
    ] = {}
    env: Annotated[
        EnvironmentVariables,
        Field(description="Environment of the container, for example NCCL settings; it wins over the operator's."),
    ] = []
    node_selector: Annotated[dict[str, str], Field(description="Labels that a node must have.")] = {}
    tolerations: Annotated[Tolerations, Field(description="Taints that the pods tolerate.")] = []
    affinity: Annotated[
        Affinity, Field(description="Affinity of the pods. Absent: pods of a role rather run on different nodes.")
    ] = {}
    priority_class_name: Annotated[Name | None, Field(description="PriorityClass of the pods.")] = None
    runtime_class_name: Annotated[Name | None, Field(description="RuntimeClass of the pods.")] = None
    pod_template: Annotated[
        PodTemplate,
        Field(
            description="Partial pod template, merged last: volumes, extra resources such as RDMA, sidecars. "
            "The container is called `learner` or `generator`."
        ),
    ] = {}


class Learners(PodSettings):
    replicas: Annotated[int, Field(description="Learner pods, at least 1; may change while the run is suspended.")] = 1
    gpus: Annotated[int, Field(ge=0, description="GPUs per learner pod; 0 trains on CPU.")] = 1
    processes: Annotated[
        int | None, Field(ge=1, description="Processes per learner pod. Absent: one per GPU, and one on CPU.")
    ] = None

    @property
    def processes_per_pod(self) -> int:
        return self.processes or max(1, self.gpus)


class Generators(PodSettings):
    replicas: Annotated[int, Field(description="Generator pods, at least 1; may change while the run goes on.")] = 1
    gpus: Annotated[
        int, Field(ge=0, description="GPUs per generator pod, which is its tensor parallel size; 0 generates on CPU.")
    ] = 1
    max_staleness: Annotated[
        int,
        Field(
            ge=0,
            le=MOST_STALENESS,
            description="How many weight versions older than the weights that learn from them those may be that wrote the "
            "completions. 0 is on-policy: generation and learning take turns. With 1, generators write the next batch while "
            "learners learn from this one; TRL's importance-sampling correction accounts for the difference.",
        ),
    ] = 0


class Sampling(ApiModel):
    """Which groups of completions are learnt from."""

    dynamic: Annotated[
        bool,
        Field(
            description="DAPO's dynamic sampling: groups whose rewards are all equal teach nothing, and are replaced by groups of "
            "other prompts whose rewards differ."
        ),
    ] = SamplingConfig().dynamic
    max_rounds: Annotated[
        int,
        Field(
            ge=1,
            le=MOST_ROUNDS,
            description="With `dynamic`, how often other groups are asked for in place of those that teach nothing; what is left "
            "then is learnt from as it is.",
        ),
    ] = SamplingConfig().max_rounds


class Storage(ApiModel):
    """The volume of the run: checkpoints, the model and the hub's cache. Set one of `size` and `claimName`."""

    size: Annotated[
        str | None, Field(min_length=1, max_length=64, description="Size of a new volume claim, for example 500Gi.")
    ] = None
    claim_name: Annotated[Name | None, Field(description="An existing claim to use; it is never deleted.")] = None
    storage_class_name: Annotated[
        Name | None, Field(description="StorageClass of the new claim. Absent: the cluster's default.")
    ] = None
    access_modes: Annotated[
        list[AccessMode],
        Field(
            min_length=1,
            max_length=4,
            description="Access modes of the new claim. Pods on several nodes need ReadWriteMany.",
        ),
    ] = ["ReadWriteMany"]
    retain: Annotated[bool, Field(description="Keep the new claim when the run is deleted.")] = False


class Checkpoint(ApiModel):
    """Checkpoints to recover from. The recipe's own save_* keys go on to mean what they mean in TRL."""

    every_steps: Annotated[int, Field(ge=1, description="Optimizer steps between checkpoints.")] = 50
    keep: Annotated[int, Field(ge=1, description="Newest checkpoints to keep.")] = 2


class Completions(ApiModel):
    """What is kept on the volume of what learners learnt from, for people to read. The next attempt has a change."""

    groups_per_step: Annotated[
        int | None,
        Field(ge=0, description="Groups to keep of each step, chosen at random. 0: none. Absent: all."),
    ] = None
    max_size: Annotated[
        str,
        Field(
            pattern=POSITIVE_QUANTITY,
            max_length=32,
            description="What they may take of the volume, and never more than a tenth of it. Beyond that the oldest are removed.",
        ),
    ] = "5Gi"


class ConfigMapName(ApiModel):
    """A ConfigMap of the run's namespace."""

    name: Annotated[Name, Field(description="Its name.")]


class RewardSource(ApiModel):
    """Where modules of reward functions lie: one of `configMap` and `path`."""

    config_map: Annotated[
        ConfigMapName | None,
        Field(
            description="A ConfigMap of the run's namespace: each key that ends in .py is a module. Each attempt has it as "
            "it is when its learners start."
        ),
    ] = None
    path: Annotated[
        str | None,
        Field(
            max_length=1024,
            description="A folder that holds modules or packages, a .py file or a wheel, in the learners' pods: mostly "
            "below /volume.",
        ),
    ] = None


class Rewards(ApiModel):
    """Where code of reward functions comes from, how long they may take, and how many failures of theirs are too many."""

    timeout_seconds: Annotated[
        int,
        Field(
            ge=1,
            le=int(_DEADLINES.scoring_s),
            description="Seconds for one call: a completion for built-in functions (a prompt's completions for `length`), "
            "the groups that are there for services and functions of `perGroup`, all completions of a learner process for "
            "others. A call that takes longer is ended, and its completions have no reward.",
        ),
    ] = int(RewardsConfig().timeout_s)
    max_error_share: Annotated[
        float,
        Field(
            ge=0,
            le=1,
            description=f"Share of the completions of the last {ERROR_WINDOW_STEPS} steps that may lose their reward to failures "
            "of reward functions. Above it the run fails, with RewardsHealthy False; with 1 it never does.",
        ),
    ] = RewardsConfig().max_error_share
    per_group: Annotated[
        list[Annotated[str, Field(max_length=253)]],
        Field(
            max_length=64,
            description="Functions of your own, as recipe.reward_funcs names them, that need no more than the completions of "
            "a prompt: they are called with groups as these are written, and not with all completions of a learner process "
            "once the last one is.",
        ),
    ] = []
    sources: Annotated[
        list[RewardSource],
        Field(
            alias="from",
            max_length=8,
            description="Code of reward functions that is not in the learners' image. Modules are searched in this order, and "
            "then in the image; packages that they need are not installed.",
        ),
    ] = []


def _deadline(of: str, usual_s: float, or_else: str = "", least_s: int = 1) -> Any:
    return Field(ge=least_s, le=LONGEST_DEADLINE_S, description=f"{of} Absent: {usual_s:g}{or_else}.")


_BY_LENGTH: Final = f", or {SECONDS_PER_TOKEN:g} s for each token of max_completion_length, where that is more"


class RunDeadlines(ApiModel):
    """Seconds after which learners no longer wait for what others do, and end with a reason. The next attempt has a change."""

    rendezvous_seconds: Annotated[
        int | None,
        _deadline("Until all learner pods have found each other (RendezvousTimeout).", _DEADLINES.rendezvous_s),
    ] = None
    loading_seconds: Annotated[
        int | None,
        _deadline(
            "For one thing that learners load before the first step: tokenizer, data, model, a checkpoint (LoadingTimeout).",
            _DEADLINES.loading_s,
        ),
    ] = None
    rewards_loading_seconds: Annotated[
        int | None,
        _deadline(
            "For a module of reward functions to be imported, with what it loads (LoadingTimeout).",
            _DEADLINES.rewards_loading_s,
        ),
    ] = None
    generators_seconds: Annotated[
        int | None,
        _deadline(
            "Until a first generator answers, and after the last one was lost (GeneratorsLost). A generator may take as long "
            "to start, and half an hour at least.",
            _DEADLINES.generators_s,
        ),
    ] = None
    generate_seconds: Annotated[
        int | None,
        _deadline(
            "For one request for completions, all of its tokens included; then its prompts go to another generator.",
            _DEADLINES.generate_s,
            _BY_LENGTH,
        ),
    ] = None
    control_seconds: Annotated[
        int | None,
        _deadline(
            "For a generator to answer a small request, or to be connected to: after that it is lost to the step.",
            _DEADLINES.control_s,
        ),
    ] = None
    weight_sync_seconds: Annotated[
        int | None,
        _deadline(
            "For one transfer of weights to a generator, and for each half of their swap: after that it is lost to the step.",
            _DEADLINES.weight_sync_s,
        ),
    ] = None
    collective_seconds: Annotated[
        int | None,
        _deadline(
            "For a learner process to come from one collective operation to the next, which is a layer, or from one part of a "
            "step to the next (CollectiveTimeout).",
            _DEADLINES.collective_s,
            _BY_LENGTH,
            LEAST_COLLECTIVE_S,
        ),
    ] = None
    scoring_seconds: Annotated[
        int | None,
        _deadline(
            "For all that is left to score when the completions of a step are there; what is not scored then has no reward.",
            _DEADLINES.scoring_s,
        ),
    ] = None
    checkpoint_seconds: Annotated[
        int | None,
        _deadline(
            "For what a learner process writes of a checkpoint or of the trained model (CheckpointTimeout).",
            _DEADLINES.checkpoint_s,
        ),
    ] = None


class GRPORunSpec(ApiModel):
    """What to train, on what, where to keep it. How pods run (image, resources, env, where they are placed, podTemplate),
    generators.replicas, deadlines, completions, maxRestarts, suspend, activeDeadlineSeconds and ttlSecondsAfterFinished may change at any
    time, learners.replicas while the run is suspended, the recipe, sampling and generators.maxStaleness until it is
    accepted."""

    recipe: Annotated[
        Object,
        Field(
            description="A TRL / Open-R1 GRPO recipe, keys unchanged; those of older recipes are translated. A key that "
            "is absent means TRL's default."
        ),
    ]
    recipe_defaults: Annotated[
        str,
        Field(
            json_schema_extra={"enum": list(ERAS)},
            description="Whose defaults the recipe's left-out keys have: TRL's of the time it was written for, or of "
            "today.",
        ),
    ] = "current"
    learners: Annotated[Learners, Field(description="Pods that learn: DeepSpeed ZeRO-3, TRL.")] = Learners()
    generators: Annotated[Generators, Field(description="Pods that write completions: vLLM.")] = Generators()
    sampling: Sampling = Sampling()
    storage: Storage = Storage()
    checkpoint: Checkpoint = Checkpoint()
    completions: Completions = Completions()
    rewards: Rewards = Rewards()
    deadlines: RunDeadlines = RunDeadlines()
    max_restarts: Annotated[
        int,
        Field(
            ge=0,
            description="Attempts after the first before the run fails. Those that a disruption ended (eviction, preemption, drain, "
            "a lost node, a deleted pod) do not count. When it is raised after that, the run goes on from its newest checkpoint.",
        ),
    ] = 5
    suspend: Annotated[
        bool,
        Field(
            description="While true the run has no pods: learners save a checkpoint and end, then generators do; the volume "
            "stays. With false again it goes on from its newest checkpoint. That counts as no restart; a run that has ended "
            "is left as it is."
        ),
    ] = False
    active_deadline_seconds: Annotated[
        Seconds | None,
        Field(
            ge=1,
            description="Seconds that the run may be active, from its start, time suspended not counted. After that it has failed "
            "(DeadlineExceeded), with no other attempt; its pods go, its checkpoints stay. Absent: as long as it takes.",
        ),
    ] = None
    ttl_seconds_after_finished: Annotated[
        Seconds | None,
        Field(
            ge=0,
            description="Seconds after its end, successful or not, until this object is deleted, with all that was made for it: the "
            "claim, with the trained model, too, unless storage.retain or storage.claimName keeps it. It waits for the run's "
            "benchmarks. Absent: it stays.",
        ),
    ] = None
