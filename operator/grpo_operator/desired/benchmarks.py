"""The benchmark of one of a run's models: a Job whose pod runs the chart's command, and then tells what that wrote.

The command is the pod's init container, so that what comes after it can read its results: who runs the cluster chooses
its image, and need not teach it anything of runs.
"""

from functools import reduce
from pathlib import PurePosixPath
from typing import Any, Final

from grpo_contract import environment, files
from grpo_contract.benchmarks import ALL, MERGE_MODULE, MERGED_FOLDER, MODEL_FOLDER, RESULTS_FOLDER, TRAINED_MODEL
from grpo_contract.failure import USER_ERROR_EXIT_CODE
from grpo_contract.labels import BENCHMARK_LABEL, RUN_UID_LABEL, Role
from grpo_operator.api.run import GRPORun
from grpo_operator.api.status import BenchmarkPhase
from grpo_operator.desired import names
from grpo_operator.desired.children import Child
from grpo_operator.desired.manifest import Manifest, build_metadata
from grpo_operator.desired.pod_template import merged
from grpo_operator.desired.pods import (
    GPU_RESOURCE,
    container_security,
    environment_of,
    learners_image,
    pod_security,
    shared_memory,
)
from grpo_operator.desired.volume import claim_name
from grpo_operator.settings import Settings

PREPARE: Final = "prepare"
MERGE: Final = "merge"
REPORT: Final = "report"
"""Containers before and after that of the benchmark."""

SHARED_FIELDS: Final = ("imagePullSecrets", "securityContext")
"""Of pod templates of learners."""

RETRIES: Final = 1
"""Of a benchmark that fails. Pods that the cluster takes away do not count."""

WAITS_S: Final = 7 * 86400
"""For the nodes of all tries: until there is a GPU, and again when the cluster has taken it away."""

KEPT_FOR_S: Final = 86400
"""After its end, for its log; results and scores stay."""


def benchmarks_of(run: GRPORun, settings: Settings) -> list[str]:
    """By the recipe's names."""
    asked = run.spec.recipe.get("benchmarks") or []
    return known_benchmarks(settings) if asked == [ALL] and settings.benchmarks.tasks else list(asked)


def known_benchmarks(settings: Settings) -> list[str]:
    return [task.name for task in settings.benchmarks.tasks]


def unknown_benchmarks(run: GRPORun, settings: Settings) -> list[str]:
    """That the chart's table lacks. Without a table every name is the command's."""
    known = known_benchmarks(settings)
    return [name for name in benchmarks_of(run, settings) if known and name not in known]


def build_benchmark_job(run: GRPORun, settings: Settings, target: str) -> Child:
    metadata = build_metadata(run, names.benchmark_job(run.metadata.name, target), Role.BENCHMARK)
    metadata["labels"] |= {BENCHMARK_LABEL: target}
    layers = (*_of_learners(run, settings), settings.benchmarks.pod_template)
    template = reduce(merged, layers, _template(run, settings, target))
    labels = metadata["labels"] | {RUN_UID_LABEL: run.metadata.uid}
    manifest = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata,
        "spec": {
            "backoffLimit": RETRIES,
            "podFailurePolicy": {"rules": [_disruption_rule(), _mistake_rule()]},
            "activeDeadlineSeconds": (RETRIES + 1) * settings.benchmarks.timeout_s + WAITS_S,
            "ttlSecondsAfterFinished": KEPT_FOR_S,
            "template": merged(template, {"metadata": {"labels": labels}}),
        },
    }
    return Child(manifest, immutable=True)


def _disruption_rule() -> Manifest:
    return {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}


def _mistake_rule() -> Manifest:
    """A second try would find the same: no model, or no results."""
    exit_codes = {"operator": "In", "values": [USER_ERROR_EXIT_CODE]}
    return {"action": "FailJob", "onExitCodes": exit_codes}


def _of_learners(run: GRPORun, settings: Settings) -> list[Manifest]:
    """What lets the learners' pods pull their image and work on the volume lets these."""
    templates = (settings.learner.pod_template, run.spec.learners.pod_template)
    return [
        {"spec": {field: value for field, value in template.get("spec", {}).items() if field in SHARED_FIELDS}}
        for template in templates
    ]


def _template(run: GRPORun, settings: Settings, target: str) -> Manifest:
    on_cpu = settings.benchmarks.gpus == 0
    spec = {
        "restartPolicy": "Never",
        "activeDeadlineSeconds": settings.benchmarks.timeout_s,  # from when it has a node
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": pod_security(),
        "initContainers": [
            _prepare(run, settings, target),
            *_merge(run, settings, target),
            _benchmark(run, settings, target),
        ],
        "containers": [_report(run, settings, target)],
        "volumes": [
            {"name": "volume", "persistentVolumeClaim": {"claimName": claim_name(run)}},
            {"name": "scratch", "emptyDir": {}},
            shared_memory(on_cpu),
        ],
    }
    return {"metadata": {}, "spec": spec}


def _prepare(run: GRPORun, settings: Settings, target: str) -> Manifest:
    """Also so that the image that reports is known to be there before a GPU has worked for hours."""
    command = ("python", "-m", "grpo_benchmark", "prepare", _saved(run, target), _results(run, target))
    return _ours(PREPARE, command, run, settings)


def _ours(name: str, command: tuple[str, ...], run: GRPORun, settings: Settings) -> Manifest:
    """A container that says why it ended as learners do, or by the end of its log."""
    container = _container(name, learners_image(run, settings), command, settings)
    return container | {
        "terminationMessagePath": str(files.TERMINATION_FILE),
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }


def _merge(run: GRPORun, settings: Settings, target: str) -> list[Manifest]:
    """Of a run that trains an adapter: what benchmarks models mostly loads none."""
    if not _is_adapter(run):
        return []
    trusting = ["--trust-remote-code"] if run.spec.recipe.get("trust_remote_code") else []
    paths = (_saved(run, target), _benchmarked(run, target))
    command = ("python", "-m", MERGE_MODULE, *paths, *trusting)
    container = _ours(MERGE, command, run, settings)
    return [merged(container | {"env": environment_of(run.metadata.name, on_cpu=True)}, {"env": run.spec.learners.env})]


def _benchmark(run: GRPORun, settings: Settings, target: str) -> Manifest:
    wanted = settings.benchmarks
    container: Manifest = _container(Role.BENCHMARK.value, wanted.image, wanted.command, settings)
    told = [{"name": name, "value": _literal(value)} for name, value in _told(run, settings, target).items()]
    container |= {
        "env": environment_of(run.metadata.name, wanted.gpus == 0) + told,
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "resources": {"limits": {GPU_RESOURCE: wanted.gpus}} if wanted.gpus else {},
    }
    shm = {"name": "shm", "mountPath": "/dev/shm"}  # noqa: S108 (a mount of its own)
    # The learners' environment has the way to the hub, and its token.
    return merged(container, {"env": run.spec.learners.env, "volumeMounts": [shm]})


def _report(run: GRPORun, settings: Settings, target: str) -> Manifest:
    kept = [_saved(run, target)] if target != TRAINED_MODEL else []
    made = [_benchmarked(run, target)] if _is_adapter(run) else []
    command = ("python", "-m", "grpo_benchmark", "report", _results(run, target), *kept, *made, *_left_over(run))
    return _ours(REPORT, command, run, settings)


def _left_over(run: GRPORun) -> list[str]:
    """Models whose benchmark has failed: once another one succeeds, what failed is not the models' fault."""
    failed = (entry for entry in run.status.benchmarks if entry.phase is BenchmarkPhase.FAILED)
    return [_saved(run, entry.target) for entry in failed if entry.target != TRAINED_MODEL]


def _container(name: str, image: str, command: tuple[str, ...], settings: Settings) -> Manifest:
    return {
        "name": name,
        "image": image,
        "imagePullPolicy": settings.image_pull_policy,
        "command": list(command),
        "workingDir": str(files.SCRATCH),
        "securityContext": container_security(),
        "volumeMounts": [
            {"name": "volume", "mountPath": str(files.VOLUME)},
            {"name": "scratch", "mountPath": str(files.SCRATCH)},
        ],
    }


def _told(run: GRPORun, settings: Settings, target: str) -> dict[str, str]:
    """What the command may want to know, by the names of its environment."""
    recipe, asked = run.spec.recipe, benchmarks_of(run, settings)
    tasks = {task.name: task.task for task in settings.benchmarks.tasks}
    return {
        environment.BENCHMARK_MODEL: _benchmarked(run, target),
        environment.BENCHMARK_NAMES: ",".join(asked),
        environment.BENCHMARK_TASKS: ",".join(tasks.get(name, name) for name in asked),
        environment.BENCHMARK_RESULTS: _results(run, target),
        environment.BENCHMARK_SYSTEM_PROMPT: recipe.get("system_prompt") or "",
        environment.BENCHMARK_TRUST_REMOTE_CODE: "true" if recipe.get("trust_remote_code") else "false",
        environment.BENCHMARK_GPUS: str(settings.benchmarks.gpus),
    }


def _literal(value: Any) -> str:
    """Kubernetes would put a variable's value in the place of $(NAME)."""
    return str(value).replace("$(", "$$(")


def _is_adapter(run: GRPORun) -> bool:
    return bool(run.spec.recipe.get("use_peft"))


def _saved(run: GRPORun, target: str) -> str:
    """What the learners have written."""
    if target == TRAINED_MODEL:
        return str(files.model_folder(run.metadata.name, run.metadata.uid))
    return str(_folder(run, target) / MODEL_FOLDER)


def _benchmarked(run: GRPORun, target: str) -> str:
    return str(_folder(run, target) / MERGED_FOLDER) if _is_adapter(run) else _saved(run, target)


def _results(run: GRPORun, target: str) -> str:
    return str(_folder(run, target) / RESULTS_FOLDER)


def _folder(run: GRPORun, target: str) -> PurePosixPath:
    return files.benchmarks_folder(run.metadata.name, run.metadata.uid) / target
