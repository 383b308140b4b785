"""Pods of a run: what each has, and whose word counts where settings meet."""

from typing import Any

import pytest

from unit.desired_inputs import (
    UID,
    container_of,
    environment_of,
    generator_template,
    learner_template,
    make_run,
    make_settings,
)

CPU: dict[str, Any] = {"learners": {"gpus": 0}, "generators": {"gpus": 0}}
BOTH = pytest.mark.parametrize(
    ("role", "build"), [("learner", learner_template), ("generator", generator_template)], ids=["learner", "generator"]
)


def volumes_of(template: Any) -> dict[str, Any]:
    return {volume.pop("name"): volume for volume in template["spec"]["volumes"]}


@BOTH
def test_images(role: str, build: Any) -> None:
    assert container_of(build(make_run()))["image"] == f"{role}:gpu"
    assert container_of(build(make_run(**CPU)))["image"] == f"{role}:cpu"
    assert container_of(build(make_run(**{f"{role}s": {"image": "mine:1"}})))["image"] == "mine:1"


@BOTH
def test_gpus_are_limits_beside_other_resources(role: str, build: Any) -> None:
    assert container_of(build(make_run(**{f"{role}s": {"gpus": 4}})))["resources"] == {"limits": {"nvidia.com/gpu": 4}}
    asked = {"requests": {"cpu": "2"}, "limits": {"memory": "1Gi", "nvidia.com/gpu": 1}}
    given = container_of(build(make_run(**{f"{role}s": {"gpus": 8, "resources": asked}})))["resources"]
    assert given == {"requests": {"cpu": "2"}, "limits": {"memory": "1Gi", "nvidia.com/gpu": 8}}
    assert container_of(build(make_run(**CPU)))["resources"] == {}


def test_environment_of_a_learner_on_cpu() -> None:
    assert environment_of(learner_template(make_run(**CPU))) == {
        "GRPO_POD_NAME": {"fieldRef": {"fieldPath": "metadata.name"}},
        "GRPO_POD_IP": {"fieldRef": {"fieldPath": "status.podIP"}},
        "GRPO_RUN": "math",
        "GRPO_LOGS": "json",
        "GRPO_ATTEMPT": "1",
        "GRPO_GRACE_PERIOD_S": "120",
        "HOME": "/scratch",
        "TMPDIR": "/scratch",
        "TORCH_EXTENSIONS_DIR": "/scratch/torch_extensions",
        "HF_HOME": "/volume/.cache/huggingface",
        "USER": "nonroot",
        "PYTHONUNBUFFERED": "1",
        "OMP_NUM_THREADS": "1",
    }


def test_environment_of_a_generator_on_gpu() -> None:
    learner = environment_of(learner_template(make_run(**CPU)))
    generator = environment_of(generator_template(make_run()))
    assert generator == {
        name: value for name, value in learner.items() if name not in ("GRPO_ATTEMPT", "OMP_NUM_THREADS")
    }


@BOTH
def test_volumes(role: str, build: Any) -> None:
    assert volumes_of(build(make_run(**CPU))) == {
        "config": {"configMap": {"name": "math-config", "defaultMode": 0o440}},
        "token": {"secret": {"secretName": "math-token", "defaultMode": 0o440}},
        "volume": {"persistentVolumeClaim": {"claimName": "math-volume"}},
        "scratch": {"emptyDir": {}},
        "shm": {"emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}},
    }
    assert volumes_of(build(make_run()))["shm"] == {"emptyDir": {"medium": "Memory", "sizeLimit": "16Gi"}}
    mounts = {mount["mountPath"]: mount["name"] for mount in container_of(build(make_run()))["volumeMounts"]}
    assert mounts == {
        "/etc/grpo": "config",
        "/etc/grpo-token": "token",
        "/volume": "volume",
        "/scratch": "scratch",
        "/dev/shm": "shm",
    }


def test_the_learners_container() -> None:
    container = container_of(learner_template(make_run()))
    assert container["name"] == "learner"
    assert container["command"] == ["python", "-m", "grpo_trainer"]
    assert container["workingDir"] == "/scratch"
    assert container["terminationMessagePath"] == "/dev/termination-log"
    assert {port["name"]: port["containerPort"] for port in container["ports"]} == {
        "http": 9400,
        "weights": 9401,
        "rendezvous": 29500,
    }
    assert container["readinessProbe"]["httpGet"] == {"path": "/healthz", "port": "http"}
    assert learner_template(make_run())["spec"]["terminationGracePeriodSeconds"] == 120


def test_a_learner_that_stands_still_is_ended_after_its_watchdog_would_have() -> None:
    container = container_of(learner_template(make_run(deadlines={"collectiveSeconds": 60, "loadingSeconds": 300})))
    for probe, seconds in ((container["livenessProbe"], 60 + 30), (container["startupProbe"], 3 * 300)):
        assert probe["httpGet"] == {"path": "/healthz", "port": "http"}
        assert probe["periodSeconds"] * probe["failureThreshold"] == seconds


@pytest.mark.parametrize(("wanted", "told"), [(600, "600"), (None, "30")])
@BOTH
def test_a_pod_knows_how_long_it_may_take_to_end(role: str, build: Any, wanted: int | None, told: str) -> None:
    """Null takes out what the operator says: it is Kubernetes' 30 s then."""
    template = build(make_run(**{f"{role}s": {"podTemplate": {"spec": {"terminationGracePeriodSeconds": wanted}}}}))
    assert template["spec"].get("terminationGracePeriodSeconds") == wanted
    assert environment_of(template)["GRPO_GRACE_PERIOD_S"] == told


def test_the_generators_container() -> None:
    container = container_of(generator_template(make_run()))
    assert container["name"] == "generator"
    assert container["command"] == ["python", "-m", "grpo_generator"]
    assert {port["name"]: port["containerPort"] for port in container["ports"]} == {"api": 8000}
    startup, ready, live = (container[f"{kind}Probe"] for kind in ("startup", "readiness", "liveness"))
    assert startup["httpGet"] == live["httpGet"] == {"path": "/health", "port": "api"}
    assert ready["httpGet"] == {"path": "/ready", "port": "api"}
    assert startup["periodSeconds"] * startup["failureThreshold"] == 1800
    assert live["periodSeconds"] * live["failureThreshold"] == 120
    assert (startup["periodSeconds"], ready["periodSeconds"]) == (2, 2)
    assert generator_template(make_run())["spec"]["terminationGracePeriodSeconds"] == 120
    assert [probe.get("terminationGracePeriodSeconds") for probe in (startup, ready, live)] == [5, None, 5]


@pytest.mark.parametrize(("build", "port"), [(learner_template, "9400"), (generator_template, "8000")])
def test_prometheus_finds_every_pod(build: Any, port: str) -> None:
    assert (
        build(make_run())["metadata"]["annotations"].items()
        >= {
            "prometheus.io/scrape": "true",
            "prometheus.io/port": port,
            "prometheus.io/path": "/metrics",
        }.items()
    )


@BOTH
def test_pods_that_a_monitor_finds_have_no_annotations_for_it(role: str, build: Any) -> None:
    settings = make_settings().model_copy(update={"scrape_annotations": False})
    assert list(build(make_run(), settings)["metadata"]["annotations"]) == ["grpo.dev/recipe"]


@BOTH
def test_pods_of_a_role_prefer_different_nodes(role: str, build: Any) -> None:
    assert build(make_run())["spec"]["affinity"] == {
        "podAntiAffinity": {
            "preferredDuringSchedulingIgnoredDuringExecution": [
                {
                    "weight": 100,
                    "podAffinityTerm": {
                        "labelSelector": {
                            "matchLabels": {"grpo.dev/run": "math", "grpo.dev/run-uid": UID, "grpo.dev/role": role}
                        },
                        "topologyKey": "kubernetes.io/hostname",
                    },
                }
            ]
        }
    }


@BOTH
def test_the_users_affinity_replaces_ours(role: str, build: Any) -> None:
    wish: dict[str, Any] = {
        "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}}
    }
    assert build(make_run(**{f"{role}s": {"affinity": wish}}))["spec"]["affinity"] == wish


@BOTH
def test_fields_of_a_role_reach_its_pods(role: str, build: Any) -> None:
    fields = {
        "nodeSelector": {"pool": "h100"},
        "tolerations": [{"key": "gpu", "operator": "Exists"}],
        "priorityClassName": "high",
        "runtimeClassName": "nvidia",
    }
    spec = build(make_run(**{f"{role}s": fields}))["spec"]
    assert {field: spec[field] for field in fields} == fields
    bare = build(make_run())["spec"]
    assert [field for field in fields if field in bare] == []


# Layers from weak to strong. Each says its own name where it can; the last one that says anything counts.
LAYERS = ("built in", "operator", "run", "run's template")


def template_saying(word: str, role: str) -> dict[str, Any]:
    variable = {"name": "HF_HOME", "value": word}
    return {
        "spec": {
            "runtimeClassName": word,
            "nodeSelector": {"pool": word},
            "containers": [{"name": role, "image": word, "env": [variable]}],
        }
    }


@BOTH
@pytest.mark.parametrize("strongest", range(1, len(LAYERS)), ids=LAYERS[1:])
def test_precedence(strongest: int, role: str, build: Any) -> None:
    fields: dict[str, Any] = {}
    if strongest >= 2:
        env = [{"name": "HF_HOME", "value": "run"}]
        fields = {"image": "run", "env": env, "runtimeClassName": "run", "nodeSelector": {"pool": "run"}}
    if strongest >= 3:
        fields["podTemplate"] = template_saying("run's template", role)
    settings = make_settings(**{role: template_saying("operator", role)})
    template = build(make_run(**{f"{role}s": fields}), settings)
    said = {
        template["spec"]["runtimeClassName"],
        template["spec"]["nodeSelector"]["pool"],
        container_of(template)["image"],
        environment_of(template)["HF_HOME"],
    }
    assert said == {LAYERS[strongest]}


@BOTH
def test_what_a_layer_does_not_say_it_leaves(role: str, build: Any) -> None:
    settings = make_settings(**{role: {"spec": {"nodeSelector": {"zone": "a"}, "priorityClassName": "low"}}})
    fields = {"nodeSelector": {"pool": "h100"}, "podTemplate": {"metadata": {"annotations": {"team": "math"}}}}
    template = build(make_run(**{f"{role}s": fields}), settings)
    assert template["spec"]["nodeSelector"] == {"zone": "a", "pool": "h100"}
    assert template["spec"]["priorityClassName"] == "low"
    assert template["metadata"]["annotations"]["team"] == "math"
    assert template["metadata"]["annotations"]["prometheus.io/scrape"] == "true"


@BOTH
def test_settings_of_a_role_leave_the_other_alone(role: str, build: Any) -> None:
    other = {"learner": "generator", "generator": "learner"}[role]
    settings = make_settings(**{other: template_saying("other", other)})
    run = make_run(**{f"{other}s": {"image": "other", "env": [{"name": "OTHER", "value": "1"}]}})
    assert build(run, settings) == build(make_run(), make_settings())


@BOTH
def test_extra_devices_by_pod_template(role: str, build: Any) -> None:
    container = {
        "name": role,
        "resources": {"limits": {"rdma/hca": 1}},
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    }
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]
    fields = {"gpus": 8, "podTemplate": {"spec": {"containers": [container], "volumes": volumes}}}
    template = build(make_run(**{f"{role}s": fields}))
    assert container_of(template)["resources"] == {"limits": {"nvidia.com/gpu": 8, "rdma/hca": 1}}
    assert {mount["mountPath"] for mount in container_of(template)["volumeMounts"]} >= {"/data", "/volume", "/scratch"}
    assert volumes_of(template)["data"] == {"persistentVolumeClaim": {"claimName": "data"}}


@BOTH
def test_no_template_takes_pods_away_from_their_services_and_policies(role: str, build: Any) -> None:
    labels = {"grpo.dev/run": "other", "grpo.dev/run-uid": "other", "grpo.dev/role": "other", "team": "math"}
    fields = {"podTemplate": {"metadata": {"labels": labels}}}
    given = build(make_run(**{f"{role}s": fields}))["metadata"]["labels"]
    assert given == build(make_run())["metadata"]["labels"] | {"team": "math"}


@BOTH
def test_a_cluster_that_gives_out_user_ids_itself(role: str, build: Any) -> None:
    """OpenShift refuses fixed ids; null takes ours away."""
    ids = {"runAsUser": None, "runAsGroup": None, "fsGroup": None}
    settings = make_settings(**{role: {"spec": {"securityContext": ids}}})
    assert build(make_run(), settings)["spec"]["securityContext"] == {
        "runAsNonRoot": True,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }
