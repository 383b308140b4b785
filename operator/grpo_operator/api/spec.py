"""`spec` of a GRPORun. Field names are camelCase in YAML; recipe keys are TRL's own."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

Object = dict[str, Any]
AccessMode = Literal["ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod"]


class ApiModel(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)


class PodSettings(ApiModel):
    """What learners and generators have in common: how their pods run."""

    image: Annotated[str | None, Field(description="Image of the pods. Default: the operator's setting.")] = None
    resources: Annotated[Object, Field(description="Requests and limits of the container; GPUs are added by `gpus`.")] = {}
    env: Annotated[list[Object], Field(description="Environment variables of the container, for example NCCL settings.")] = []
    node_selector: Annotated[dict[str, str], Field(description="Labels that a node must have.")] = {}
    tolerations: Annotated[list[Object], Field(description="Taints that the pods tolerate.")] = []
    affinity: Annotated[Object, Field(description="Affinity of the pods.")] = {}
    priority_class_name: Annotated[str | None, Field(description="PriorityClass of the pods.")] = None
    runtime_class_name: Annotated[str | None, Field(description="RuntimeClass of the pods.")] = None
    pod_template: Annotated[
        Object,
        Field(description="Partial pod template, merged last: volumes, extra resources such as RDMA, sidecars."),
    ] = {}


class Learners(PodSettings):
    replicas: Annotated[int, Field(ge=1, description="Learner pods.")] = 1
    gpus: Annotated[int, Field(ge=0, description="GPUs per learner pod, one process each; 0 trains on CPU.")] = 1
    processes: Annotated[
        int | None, Field(ge=1, description="Processes per learner pod. Default: one per GPU, one on CPU.")
    ] = None

    @property
    def processes_per_pod(self) -> int:
        return self.processes or max(1, self.gpus)


class Generators(PodSettings):
    replicas: Annotated[int, Field(ge=1, description="Generator pods; may be changed while the run goes on.")] = 1
    gpus: Annotated[int, Field(ge=0, description="GPUs per generator pod (tensor parallel size); 0 generates on CPU.")] = 1


class Storage(ApiModel):
    """The volume of the run: checkpoints, the model and the hub's cache. One of `size` and `claimName`."""

    size: Annotated[str | None, Field(description="Size of a new volume claim, for example 500Gi.")] = None
    claim_name: Annotated[str | None, Field(description="An existing claim to use; it is never deleted.")] = None
    storage_class_name: Annotated[str | None, Field(description="StorageClass of the new claim.")] = None
    access_modes: Annotated[
        list[AccessMode],
        Field(min_length=1, description="Access modes of the new claim. Pods on several nodes need ReadWriteMany."),
    ] = ["ReadWriteMany"]
    retain: Annotated[bool, Field(description="Keep the new claim when the run is deleted.")] = False


class Checkpoint(ApiModel):
    """Checkpoints to recover from. The recipe's own save_* keys go on to mean what they mean in TRL."""

    every_steps: Annotated[int, Field(ge=1, description="Optimizer steps between checkpoints.")] = 50
    keep: Annotated[int, Field(ge=1, description="Newest checkpoints to keep.")] = 2


class GRPORunSpec(ApiModel):
    recipe: Annotated[Object, Field(description="A TRL / Open-R1 GRPO recipe, keys unchanged.")]
    learners: Annotated[Learners, Field(description="Pods that learn: torchrun, DeepSpeed ZeRO-3, TRL.")] = Learners()
    generators: Annotated[Generators, Field(description="Pods that write completions: vLLM.")] = Generators()
    storage: Storage
    checkpoint: Checkpoint = Checkpoint()
    max_restarts: Annotated[int, Field(ge=0, description="Attempts after the first before the run fails.")] = 5
