"""The Job that benchmarks one of a run's models."""

from importlib.util import find_spec
from typing import Any

import pytest

from grpo_contract.benchmarks import MERGE_MODULE
from grpo_operator.api.run import GRPORun
from grpo_operator.api.status import BenchmarkPhase, BenchmarkStatus
from grpo_operator.desired.benchmarks import benchmarks_of, build_benchmark_job, unknown_benchmarks
from grpo_operator.desired.config import run_config
from grpo_operator.desired.manifest import Manifest
from grpo_operator.settings import BenchmarkSettings, BenchmarkTask, Settings
from unit.benchmark_inputs import BENCHMARKS, FOLDER, RECIPE, SETTINGS, benchmarked_run, with_status
from unit.desired_inputs import UID, make_run, make_settings

CHECKPOINT = f"{FOLDER}/benchmarks/checkpoint-50"
LABELS = {
    "grpo.dev/run": "math",
    "grpo.dev/role": "benchmark",
    "grpo.dev/benchmark": "checkpoint-50",
    "app.kubernetes.io/name": "grpo-run",
    "app.kubernetes.io/instance": "math",
    "app.kubernetes.io/component": "benchmark",
    "app.kubernetes.io/managed-by": "grpo-operator",
}


def job_of(
    target: str = "checkpoint-50", settings: Settings = SETTINGS, run: GRPORun | None = None, **recipe: Any
) -> Manifest:
    return build_benchmark_job(run or benchmarked_run(**recipe), settings, target).manifest


def containers_of(job: Manifest) -> list[Manifest]:
    """In the order in which they run."""
    spec = job["spec"]["template"]["spec"]
    return [*spec["initContainers"], *spec["containers"]]


def environment_of(container: Manifest) -> dict[str, Any]:
    assert len({variable["name"] for variable in container["env"]}) == len(container["env"])
    return {variable["name"]: variable.get("value", variable.get("valueFrom")) for variable in container["env"]}


def test_the_job() -> None:
    job = job_of()
    metadata, spec = job["metadata"], job["spec"]
    assert (metadata["name"], metadata["namespace"], metadata["labels"]) == ("math-benchmark-50", "team", LABELS)
    assert [owner["uid"] for owner in metadata["ownerReferences"]] == [UID]
    assert spec["template"]["metadata"]["labels"] == LABELS | {"grpo.dev/run-uid": UID}
    assert spec["template"]["spec"]["activeDeadlineSeconds"] == 3600, "of one try, from when it has its node"
    assert spec["activeDeadlineSeconds"] == 2 * 3600 + 7 * 86400, "of both tries, and of what they wait for"
    assert (spec["backoffLimit"], spec["ttlSecondsAfterFinished"]) == (1, 86400)
    assert [rule["action"] for rule in spec["podFailurePolicy"]["rules"]] == ["Ignore", "FailJob"]
    assert spec["template"]["spec"]["restartPolicy"] == "Never"
    assert job_of("model")["metadata"]["name"] == "math-benchmark-model"


def test_no_name_is_too_long() -> None:
    run = make_run("x" * 40, recipe=RECIPE)
    assert len(job_of("checkpoint-99999999", run=run)["metadata"]["name"]) <= 63


def test_the_command_runs_in_the_charts_image_and_is_told_what_it_needs() -> None:
    prepare, benchmark, report = containers_of(job_of(system_prompt="Think $(HARD).", trust_remote_code=True))
    assert (benchmark["name"], benchmark["image"]) == ("benchmark", "lighteval:1")
    assert benchmark["command"] == ["benchmark", "$(GRPO_MODEL)"]
    assert benchmark["resources"] == {"limits": {"nvidia.com/gpu": 2}}
    told = {name: value for name, value in environment_of(benchmark).items() if name.startswith("GRPO_")}
    assert told.pop("GRPO_POD_NAME")
    assert told.pop("GRPO_POD_IP")
    assert told == {
        "GRPO_RUN": "math",
        "GRPO_LOGS": "json",
        "GRPO_MODEL": f"{CHECKPOINT}/model",
        "GRPO_BENCHMARKS": "math_500,aime24",
        "GRPO_TASKS": "math_500|0,aime24|0",
        "GRPO_RESULTS": f"{CHECKPOINT}/results",
        "GRPO_SYSTEM_PROMPT": "Think $$(HARD).",
        "GRPO_TRUST_REMOTE_CODE": "true",
        "GRPO_GPUS": "2",
    }
    paths = {"model": f"{CHECKPOINT}/model", "results": f"{CHECKPOINT}/results"}
    assert (prepare["name"], prepare["image"]) == ("prepare", "learner:gpu")
    assert prepare["command"] == ["python", "-m", "grpo_benchmark", "prepare", paths["model"], paths["results"]]
    assert (report["name"], report["image"]) == ("report", "learner:gpu")
    assert report["command"] == ["python", "-m", "grpo_benchmark", "report", paths["results"], paths["model"]]
    assert "resources" not in report


def test_the_trained_model_is_not_cleared_away() -> None:
    _, benchmark, report = containers_of(job_of("model"))
    assert environment_of(benchmark)["GRPO_MODEL"] == f"{FOLDER}/model"
    assert report["command"] == ["python", "-m", "grpo_benchmark", "report", f"{FOLDER}/benchmarks/model/results"]


@pytest.mark.parametrize(
    ("target", "adapter", "removed"),
    [
        ("checkpoint-50", f"{CHECKPOINT}/model", [f"{CHECKPOINT}/model", f"{CHECKPOINT}/merged"]),
        ("model", f"{FOLDER}/model", [f"{FOLDER}/benchmarks/model/merged"]),
    ],
)
def test_an_adapter_is_merged_first(target: str, adapter: str, removed: list[str]) -> None:
    _, merge, benchmark, report = containers_of(job_of(target, use_peft=True))
    whole = f"{FOLDER}/benchmarks/{target}/merged"
    assert (merge["name"], merge["image"]) == ("merge", "learner:gpu")
    assert merge["command"] == ["python", "-m", "grpo_trainer.storage.merge_adapter", adapter, whole]
    assert environment_of(benchmark)["GRPO_MODEL"] == whole
    _, trusting, *_ = containers_of(job_of(target, use_peft=True, trust_remote_code=True))
    assert trusting["command"] == [*merge["command"], "--trust-remote-code"]
    assert report["command"][5:] == removed


def test_the_program_that_merges_is_there() -> None:
    """What it does, tests/trainer/test_merge_adapter.py tells; it needs torch."""
    assert find_spec(MERGE_MODULE) is not None


def test_each_container_that_fails_says_why() -> None:
    """Where it has not written why into its termination file, its log's end does."""
    containers = containers_of(job_of(use_peft=True))
    assert [container["name"] for container in containers] == ["prepare", "merge", "benchmark", "report"]
    assert {container["terminationMessagePolicy"] for container in containers} == {"FallbackToLogsOnError"}
    ours = [container for container in containers if container["name"] != "benchmark"]
    assert {container["terminationMessagePath"] for container in ours} == {"/dev/termination-log"}


def test_the_way_to_the_hub_is_the_learners() -> None:
    token = {"name": "HF_TOKEN", "valueFrom": {"secretKeyRef": {"name": "hub", "key": "token"}}}
    env = [token, {"name": "HF_HOME", "value": "/volume/own"}]
    run = make_run(recipe=RECIPE | {"benchmarks": ["math_500"], "use_peft": True}, learners={"env": env})
    _, merge, benchmark, _ = containers_of(job_of(run=run))
    for container in (merge, benchmark):
        told = environment_of(container)
        assert told["HF_TOKEN"] == token["valueFrom"]
        assert told["HF_HOME"] == "/volume/own"


def test_no_container_holds_the_runs_token() -> None:
    spec = job_of()["spec"]["template"]["spec"]
    assert [volume["name"] for volume in spec["volumes"]] == ["volume", "scratch", "shm"]
    assert spec["volumes"][0]["persistentVolumeClaim"] == {"claimName": "math-volume"}
    assert spec["automountServiceAccountToken"] is False


def test_the_charts_template_has_its_say_and_labels_have_the_last() -> None:
    template = {
        "metadata": {"labels": {"team": "ml", "grpo.dev/run": "other"}},
        "spec": {
            "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
            "initContainers": [{"name": "benchmark", "resources": {"limits": {"memory": "64Gi"}}}],
        },
    }
    settings = make_settings(None, BENCHMARKS.model_copy(update={"pod_template": template}))
    pod = job_of(settings=settings)["spec"]["template"]
    assert pod["metadata"]["labels"] == LABELS | {"grpo.dev/run-uid": UID, "team": "ml"}
    assert pod["spec"]["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists"}]
    benchmark = pod["spec"]["initContainers"][-1]
    assert benchmark["resources"]["limits"] == {"nvidia.com/gpu": 2, "memory": "64Gi"}


def test_what_lets_learners_pull_their_image_and_work_on_the_volume_holds_here() -> None:
    learner = {
        "spec": {
            "imagePullSecrets": [{"name": "registry"}],
            "securityContext": {"runAsUser": 1000, "fsGroup": 1000},
            "nodeSelector": {"pool": "learners"},
        }
    }
    own = {"spec": {"imagePullSecrets": [{"name": "team"}], "securityContext": {"fsGroup": 2000}}}
    run = make_run(recipe=RECIPE | {"benchmarks": ["math_500"]}, learners={"podTemplate": own})
    spec = job_of(settings=make_settings(None, BENCHMARKS, learner=learner), run=run)["spec"]["template"]["spec"]
    assert spec["imagePullSecrets"] == [{"name": "registry"}, {"name": "team"}]
    assert (spec["securityContext"]["runAsUser"], spec["securityContext"]["fsGroup"]) == (1000, 2000)
    assert "nodeSelector" not in spec


def test_the_next_one_clears_away_models_whose_benchmark_has_failed() -> None:
    entries = [
        BenchmarkStatus(target="checkpoint-10", step=10, phase=BenchmarkPhase.FAILED),
        BenchmarkStatus(target="checkpoint-20", step=20, phase=BenchmarkPhase.SUCCEEDED),
        BenchmarkStatus(target="model", step=60, phase=BenchmarkPhase.FAILED),
    ]
    run = with_status(benchmarked_run(), benchmarks=entries)
    *_, report = containers_of(job_of(run=run))
    assert report["command"][5:] == [f"{CHECKPOINT}/model", f"{FOLDER}/benchmarks/checkpoint-10/model"]


def test_on_cpu() -> None:
    settings = make_settings(None, BENCHMARKS.model_copy(update={"gpus": 0}))
    _, benchmark, _ = containers_of(job_of(settings=settings))
    assert benchmark["resources"] == {}
    assert environment_of(benchmark)["OMP_NUM_THREADS"] == "1"


@pytest.mark.parametrize(
    ("asked", "tasks", "benchmarks", "unknown"),
    [
        (["aime24"], ["aime24", "math_500"], ["aime24"], []),
        (["all"], ["aime24", "math_500"], ["aime24", "math_500"], []),
        (["all", "aime24"], ["aime24"], ["all", "aime24"], ["all"]),
        (["gsm8k"], ["aime24"], ["gsm8k"], ["gsm8k"]),
        (["all"], [], ["all"], []),
        (["gsm8k"], [], ["gsm8k"], []),
        (None, ["aime24"], [], []),
    ],
)
def test_names(asked: list[str] | None, tasks: list[str], benchmarks: list[str], unknown: list[str]) -> None:
    known = tuple(BenchmarkTask(name=name, task=f"{name}|0") for name in tasks)
    settings = make_settings(None, BenchmarkSettings(image="i", tasks=known))
    run = make_run(recipe=RECIPE | {"benchmarks": asked})
    assert benchmarks_of(run, settings) == benchmarks
    assert unknown_benchmarks(run, settings) == unknown


def test_learners_keep_models_where_they_are_benchmarked() -> None:
    assert run_config(benchmarked_run(), SETTINGS).keeps_models
    assert not run_config(benchmarked_run(), make_settings()).keeps_models, "nobody would clear them away"
    assert not run_config(benchmarked_run(benchmarks=[]), SETTINGS).keeps_models
    assert not run_config(make_run(), SETTINGS).keeps_models
