"""What the pods of learners and generators share: security, files, environment; and how a run's and the operator's settings
join.

Layers, later ones win: this file and the role's own part; the operator's pod template for the role; the run's fields
for the role; the run's pod template; labels that Services and policies select by.
"""

import math
from functools import reduce
from typing import Final

from grpo_contract import environment, files
from grpo_contract.labels import RUN_UID_LABEL, Role
from grpo_contract.network import METRICS_PATH
from grpo_operator.api.run import GRPORun
from grpo_operator.api.spec import Generators, Learners
from grpo_operator.desired import names
from grpo_operator.desired.manifest import Manifest, selector_of
from grpo_operator.desired.pod_template import merged
from grpo_operator.desired.recipe import RECIPE_ANNOTATION, recipe_of_pods
from grpo_operator.desired.volume import claim_name
from grpo_operator.settings import RoleDefaults, Settings

NONROOT_ID: Final = 65532
GRACE_PERIOD: Final = "terminationGracePeriodSeconds"
DEFAULT_GRACE_PERIOD_S: Final = 30
"""Kubernetes' own."""
GPU_RESOURCE: Final = "nvidia.com/gpu"

# Limits of a file system in memory, which counts as memory of the container for what is in it. NCCL and vLLM's tensor
# parallel workers exchange data there; processes on CPU exchange little.
SHARED_MEMORY_WITH_GPU: Final = "16Gi"
SHARED_MEMORY_ON_CPU: Final = "1Gi"


def build_pod_template(run: GRPORun, settings: Settings, role: Role, specifics: Manifest) -> Manifest:
    """`specifics` is the role's own part, a partial pod template whose container is named after the role."""
    wanted, defaults = _of_role(run, settings, role)
    layers = (
        specifics,
        defaults.pod_template,
        _wishes(role, wanted),
        wanted.pod_template,
        {"metadata": {"labels": specifics["metadata"]["labels"]}},
    )
    return _with_grace_period(reduce(merged, layers, _base(run, settings, role)), role)


def _with_grace_period(template: Manifest, role: Role) -> Manifest:
    """Known to the pod's first process, whatever pod templates made of it."""
    seconds = template["spec"].get(GRACE_PERIOD, DEFAULT_GRACE_PERIOD_S)
    told = {"name": environment.GRACE_PERIOD, "value": str(seconds)}
    return merged(template, {"spec": {"containers": [{"name": role.value, "env": [told]}]}})


def metadata_of_pods(run: GRPORun, settings: Settings, role: Role, metrics_port: int) -> Manifest:
    scrape = {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": str(metrics_port),
        "prometheus.io/path": METRICS_PATH,
    }
    return {
        "labels": names.labels_of(run.metadata.name, role) | {RUN_UID_LABEL: run.metadata.uid},
        "annotations": {RECIPE_ANNOTATION: recipe_of_pods(run)} | (scrape if settings.scrape_annotations else {}),
    }


def learners_image(run: GRPORun, settings: Settings) -> str:
    """Before any pod template has its say."""
    wanted, defaults = _of_role(run, settings, Role.LEARNER)
    return wanted.image or (defaults.cpu_image if wanted.gpus == 0 else defaults.image)


def pod_security() -> Manifest:
    return {
        "runAsNonRoot": True,
        "runAsUser": NONROOT_ID,
        "runAsGroup": NONROOT_ID,
        "fsGroup": NONROOT_ID,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def http_probe(path: str, port_name: str, period_s: int, seconds: float) -> Manifest:
    """It fails after so many seconds of answers that are not OK, or of none at the port; later, where a server takes its time."""
    return {
        "httpGet": {"path": path, "port": port_name},
        "periodSeconds": period_s,
        "timeoutSeconds": 5,
        "failureThreshold": math.ceil(seconds / period_s),
    }


def container_security() -> Manifest:
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def shared_memory(on_cpu: bool) -> Manifest:
    size = SHARED_MEMORY_ON_CPU if on_cpu else SHARED_MEMORY_WITH_GPU
    return {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": size}}


def _of_role(run: GRPORun, settings: Settings, role: Role) -> tuple[Learners | Generators, RoleDefaults]:
    if role is Role.LEARNER:
        return run.spec.learners, settings.learner
    return run.spec.generators, settings.generator


def _base(run: GRPORun, settings: Settings, role: Role) -> Manifest:
    wanted, defaults = _of_role(run, settings, role)
    on_cpu = wanted.gpus == 0
    image = defaults.cpu_image if on_cpu else defaults.image
    spec: Manifest = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": pod_security(),
        "containers": [_container(role, run.metadata.name, settings, image, on_cpu)],
        "volumes": [*volumes_of_run(run.metadata.name, claim_name(run)), shared_memory(on_cpu)],
    }
    if not wanted.affinity:
        spec["affinity"] = _spread(run, role)
    return {"metadata": {}, "spec": spec}


def _container(role: Role, run_name: str, settings: Settings, image: str, on_cpu: bool) -> Manifest:
    return {
        "name": role.value,
        "image": image,
        "imagePullPolicy": settings.image_pull_policy,
        "workingDir": str(files.SCRATCH),
        "env": environment_of(run_name, on_cpu),
        "securityContext": container_security(),
        "terminationMessagePath": str(files.TERMINATION_FILE),
        "volumeMounts": [
            *mounts_of_run(),
            {"name": "shm", "mountPath": "/dev/shm"},  # noqa: S108 (a mount of its own)
        ],
    }


def mounts_of_run(read_only: bool = False) -> list[Manifest]:
    return [
        {"name": "config", "mountPath": str(files.CONFIG_FILE.parent), "readOnly": True},
        {"name": "token", "mountPath": str(files.TOKEN_FILE.parent), "readOnly": True},
        {"name": "volume", "mountPath": str(files.VOLUME)} | _marked(read_only),
        {"name": "scratch", "mountPath": str(files.SCRATCH)},
    ]


def volumes_of_run(run_name: str, claim: str, read_only: bool = False) -> list[Manifest]:
    """What `mounts_of_run` mounts."""
    return [
        {"name": "config", "configMap": {"name": names.config_map(run_name), "defaultMode": 0o440}},
        {"name": "token", "secret": {"secretName": names.token_secret(run_name), "defaultMode": 0o440}},
        {"name": "volume", "persistentVolumeClaim": {"claimName": claim} | _marked(read_only)},
        {"name": "scratch", "emptyDir": {}},
    ]


def _marked(read_only: bool) -> Manifest:
    return {"readOnly": True} if read_only else {}


def environment_of(run_name: str, on_cpu: bool) -> list[Manifest]:
    fixed = {
        environment.RUN: run_name,
        environment.LOGS: environment.LOGS_AS_JSON,
        "HOME": str(files.SCRATCH),
        "TMPDIR": str(files.SCRATCH),
        "TORCH_EXTENSIONS_DIR": str(files.SCRATCH / "torch_extensions"),
        "HF_HOME": str(files.HUB_CACHE),
        # torch names a cache folder after the user and fails where the image knows no user of this uid.
        "USER": "nonroot",
        "PYTHONUNBUFFERED": "1",
    }
    if on_cpu:
        # Pods share cores, and OpenMP threads that spin on a core of others are several times slower than one thread.
        fixed["OMP_NUM_THREADS"] = "1"
    return [
        {"name": environment.POD_NAME, "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": environment.POD_IP, "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        *({"name": name, "value": value} for name, value in fixed.items()),
    ]


def _spread(run: GRPORun, role: Role) -> Manifest:
    """Rather on different nodes: a lost node takes fewer pods along, and CPU pods do not share cores."""
    term = {
        "labelSelector": {"matchLabels": selector_of(run, role)},
        "topologyKey": "kubernetes.io/hostname",
    }
    preferred = [{"weight": 100, "podAffinityTerm": term}]
    return {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": preferred}}


def _wishes(role: Role, wanted: Learners | Generators) -> Manifest:
    """The run's fields for a role as a partial pod template; what is not given leaves the lower layers as they are."""
    container: Manifest = {"name": role.value, "env": wanted.env, "resources": _resources(wanted)}
    if wanted.image is not None:
        container["image"] = wanted.image
    fields = {
        "nodeSelector": wanted.node_selector,
        "tolerations": wanted.tolerations,
        "affinity": wanted.affinity,
        "priorityClassName": wanted.priority_class_name,
        "runtimeClassName": wanted.runtime_class_name,
    }
    return {"spec": {"containers": [container]} | {field: value for field, value in fields.items() if value}}


def _resources(wanted: Learners | Generators) -> Manifest:
    if wanted.gpus == 0:
        return wanted.resources
    return merged(wanted.resources, {"limits": {GPU_RESOURCE: wanted.gpus}})
