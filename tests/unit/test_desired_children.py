"""What a run consists of, and what each change of it touches."""

import json
from typing import Any

import pytest

from grpo_contract.config import CompletionsConfig, Deadlines, RunConfig, SamplingConfig
from grpo_contract.recipe.defaults import with_defaults
from grpo_contract.recipe.old_keys import Note
from grpo_operator.api.run import GRPORun
from grpo_operator.desired.children import build_children
from grpo_operator.desired.config import run_config
from grpo_operator.desired.digest import digest_of, stamped
from grpo_operator.desired.manifest import Manifest
from unit.desired_inputs import TOKEN, UID, children_of, make_run, make_settings, reference

IMMUTABLE = {"Secret/math-token", "PersistentVolumeClaim/math-volume", "Job/math-learner-1"}
MUTABLE = {
    "ConfigMap/math-config",
    "Service/math-learner",
    "Service/math-generator",
    "NetworkPolicy/math-learner",
    "NetworkPolicy/math-generator",
    "Deployment/math-generator",
}


def changed(before: dict[str, Manifest], after: dict[str, Manifest]) -> set[str]:
    return {name for name in before | after if before.get(name) != after.get(name)}


def test_children_and_which_of_them_are_immutable() -> None:
    children = build_children(make_run(), make_settings(), 1, TOKEN)
    assert {reference(child.manifest) for child in children if child.immutable} == IMMUTABLE
    assert {reference(child.manifest) for child in children if not child.immutable} == MUTABLE


def test_every_child_belongs_to_the_run() -> None:
    for manifest in children_of(make_run()).values():
        metadata = manifest["metadata"]
        assert metadata["namespace"] == "team"
        assert metadata["labels"]["grpo.dev/run"] == "math"
        assert metadata["ownerReferences"] == [
            {
                "apiVersion": "grpo.dev/v1alpha1",
                "kind": "GRPORun",
                "name": "math",
                "uid": UID,
                "controller": True,
                "blockOwnerDeletion": True,
            }
        ]


def test_a_retained_claim_has_no_owner() -> None:
    children = children_of(make_run(storage={"size": "5Gi", "retain": True}))
    unowned = {name for name, manifest in children.items() if "ownerReferences" not in manifest["metadata"]}
    assert unowned == {"PersistentVolumeClaim/math-volume"}


def test_a_claim_of_its_own() -> None:
    storage = {"size": "7Gi", "storageClassName": "fast", "accessModes": ["ReadWriteOnce"]}
    claim = children_of(make_run(storage=storage))["PersistentVolumeClaim/math-volume"]
    assert claim["spec"] == {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": "fast",
        "resources": {"requests": {"storage": "7Gi"}},
    }


def test_the_default_storage_class_is_asked_for_by_silence() -> None:
    """An empty storageClassName would switch provisioning off."""
    claim = children_of(make_run())["PersistentVolumeClaim/math-volume"]
    assert "storageClassName" not in claim["spec"]
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]


def test_a_claim_of_the_users() -> None:
    children = children_of(make_run(storage={"claimName": "mine"}))
    assert "PersistentVolumeClaim/math-volume" not in children
    for name in ("Job/math-learner-1", "Deployment/math-generator"):
        volumes = children[name]["spec"]["template"]["spec"]["volumes"]
        assert {"name": "volume", "persistentVolumeClaim": {"claimName": "mine"}} in volumes


def test_the_token_is_in_the_secret_alone() -> None:
    children = children_of(make_run())
    assert children["Secret/math-token"]["stringData"] == {"token": TOKEN}
    assert [name for name, manifest in children.items() if TOKEN in json.dumps(manifest)] == ["Secret/math-token"]


def test_the_config_file() -> None:
    run = make_run(
        learners={"replicas": 2, "gpus": 8},
        generators={"replicas": 3, "gpus": 4, "maxStaleness": 1},
        sampling={"dynamic": True, "maxRounds": 5},
        checkpoint={"everySteps": 7, "keep": 3},
        completions={"groupsPerStep": 4, "maxSize": "1.5Gi"},
    )
    (text,) = children_of(run)["ConfigMap/math-config"]["data"].values()
    config = RunConfig.model_validate_json(text)
    assert (config.name, config.uid) == ("math", UID)
    assert config.recipe == run.spec.recipe
    assert (config.learners.pods, config.learners.processes_per_pod, config.learners.device) == (2, 8, "cuda")
    assert config.learners.rendezvous_host == "math-learner.team.svc"
    assert (config.generators.tensor_parallel_size, config.generators.device) == (4, "cuda")
    assert config.generators.max_staleness == 1
    assert config.sampling == SamplingConfig(dynamic=True, max_rounds=5)
    assert config.generators.service == "math-generator.team.svc"
    assert (config.checkpoint.every_steps, config.checkpoint.keep) == (7, 3)
    assert config.completions == CompletionsConfig(groups_per_step=4, max_bytes=3 << 29)


def test_the_config_file_holds_the_recipe_in_todays_keys() -> None:
    recipe = make_run().spec.recipe | {"torch_dtype": "bfloat16", "num_processes": 7, "warmup_ratio": 0.1}
    run = make_run(recipe=recipe, recipeDefaults="trl-0.18")
    (text,) = children_of(run)["ConfigMap/math-config"]["data"].values()
    config = RunConfig.model_validate_json(text)
    assert config.recipe == make_run().spec.recipe | {
        "dtype": "bfloat16",
        "warmup_steps": 0.1,
        **with_defaults({"reward_funcs": ["accuracy"]}, "trl-0.18")[0],
    }
    assert config.recipe["beta"] == 0.04
    assert config.recipe_notes[0] == Note("torch_dtype", "Is dtype today.")
    assert run.spec.recipe == recipe


@pytest.mark.parametrize(("longest", "seconds"), [(None, 1800), (7200, 1800), (7201, 1800.25), (32768, 8192)])
def test_long_completions_have_the_time_they_take(longest: int | None, seconds: float) -> None:
    """Generators to write them, and collectives of those that learn from them."""
    run = make_run(recipe=make_run().spec.recipe | {"max_completion_length": longest})
    (text,) = children_of(run)["ConfigMap/math-config"]["data"].values()
    deadlines = RunConfig.model_validate_json(text).deadlines
    assert (deadlines.generate_s, deadlines.collective_s) == (seconds, seconds)


GIVEN = {
    "rendezvousSeconds": 1, "loadingSeconds": 2, "generatorsSeconds": 3, "generateSeconds": 4, "controlSeconds": 5,
    "rewardsLoadingSeconds": 10, "weightSyncSeconds": 6, "collectiveSeconds": 80, "scoringSeconds": 7, "checkpointSeconds": 9,
}  # fmt: skip


def test_learners_are_told_the_deadlines() -> None:
    """What is not given is the contract's."""
    recipe = make_run().spec.recipe | {"max_completion_length": 32768}
    assert run_config(make_run(recipe=recipe, deadlines=GIVEN), make_settings()).deadlines == Deadlines(
        rendezvous_s=1, loading_s=2, generators_s=3, generate_s=4, control_s=5, weight_sync_s=6, collective_s=80, scoring_s=7,
        checkpoint_s=9, rewards_loading_s=10,
    )  # fmt: skip
    assert run_config(make_run(deadlines={"checkpointSeconds": 20000}), make_settings()).deadlines == Deadlines(
        checkpoint_s=20000
    )


def test_another_deadline_touches_no_pod() -> None:
    before, after = children_of(make_run()), children_of(make_run(deadlines=GIVEN))
    assert changed(before, after) - IMMUTABLE == {"ConfigMap/math-config"}


def test_a_generator_may_start_as_long_as_learners_wait_for_it() -> None:
    for wait_s, failures in ((1799, 900), (1801, 901), (7200, 3600)):
        deployment = children_of(make_run(deadlines={"generatorsSeconds": wait_s}))["Deployment/math-generator"]
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        assert container["startupProbe"]["failureThreshold"] == failures
        assert deployment["spec"]["progressDeadlineSeconds"] == 2 * max(1800, wait_s)


def test_the_config_file_on_cpu() -> None:
    run = make_run(learners={"gpus": 0, "processes": 2}, generators={"gpus": 0})
    (text,) = children_of(run)["ConfigMap/math-config"]["data"].values()
    config = RunConfig.model_validate_json(text)
    assert (config.learners.processes_per_pod, config.learners.device) == (2, "cpu")
    assert (config.generators.tensor_parallel_size, config.generators.device) == (1, "cpu")


def test_building_is_pure() -> None:
    run, settings = make_run(), make_settings()
    before = run.model_dump_json(), settings.model_dump_json()
    assert children_of(run, settings) == children_of(run, settings)
    assert (run.model_dump_json(), settings.model_dump_json()) == before


def test_scaling_generators_changes_nothing_but_replicas() -> None:
    one = children_of(make_run(generators={"replicas": 1}))
    five = children_of(make_run(generators={"replicas": 5}))
    assert changed(one, five) == {"Deployment/math-generator"}
    before, after = one["Deployment/math-generator"], five["Deployment/math-generator"]
    assert (before["spec"].pop("replicas"), after["spec"].pop("replicas")) == (1, 5)
    assert before["spec"] == after["spec"]


def test_a_new_attempt_is_a_new_job_and_a_new_first_learner() -> None:
    first, second = children_of(make_run(), attempt=1), children_of(make_run(), attempt=2)
    generators = "Deployment/math-generator"
    assert changed(first, second) == {"Job/math-learner-1", "Job/math-learner-2", "Service/math-learner", generators}
    assert first[generators]["spec"] == second[generators]["spec"]
    assert second["Service/math-learner"]["spec"]["selector"] == {
        "grpo.dev/run": "math",
        "grpo.dev/run-uid": UID,
        "grpo.dev/role": "learner",
        "grpo.dev/attempt": "2",
        "batch.kubernetes.io/job-completion-index": "0",
    }


@pytest.mark.parametrize("attempt", [1, 12])
def test_services_and_workloads_select_their_pods(attempt: int) -> None:
    children = children_of(make_run(), attempt=attempt)
    learner = children[f"Job/math-learner-{attempt}"]["spec"]["template"]["metadata"]["labels"]
    generator = children["Deployment/math-generator"]["spec"]["template"]["metadata"]["labels"]
    first_learner = learner | {"batch.kubernetes.io/job-completion-index": "0"}
    of_learner = children["Service/math-learner"]["spec"]["selector"]
    of_generator = children["Service/math-generator"]["spec"]["selector"]
    assert of_learner.items() <= first_learner.items()
    assert not of_learner.items() <= learner.items(), "not the other learners"
    assert of_generator.items() <= generator.items()
    assert children["Deployment/math-generator"]["spec"]["selector"] == {"matchLabels": of_generator}


def test_pods_that_a_deleted_run_of_the_same_name_left_are_not_selected() -> None:
    children = children_of(make_run())
    for workload in ("Job/math-learner-1", "Deployment/math-generator"):
        assert children[workload]["spec"]["template"]["metadata"]["labels"]["grpo.dev/run-uid"] == UID
    selectors = [
        children["Service/math-learner"]["spec"]["selector"],
        children["Service/math-generator"]["spec"]["selector"],
        children["Deployment/math-generator"]["spec"]["selector"]["matchLabels"],
    ]
    assert [selector["grpo.dev/run-uid"] for selector in selectors] == [UID] * 3


def test_services_are_headless_and_show_pods_that_are_not_ready() -> None:
    children = children_of(make_run())
    for name, ports in {"learner": {29500, 9400, 9401}, "generator": {8000}}.items():
        spec = children[f"Service/math-{name}"]["spec"]
        assert spec["clusterIP"] == "None"
        assert spec["publishNotReadyAddresses"] is True
        assert {entry["port"] for entry in spec["ports"]} == ports


def test_learners_are_an_indexed_job_of_one_try() -> None:
    spec = children_of(make_run(learners={"replicas": 3}))["Job/math-learner-1"]["spec"]
    assert (spec["completionMode"], spec["completions"], spec["parallelism"]) == ("Indexed", 3, 3)
    assert spec["backoffLimit"] == 0
    assert spec["podFailurePolicy"] == {
        "rules": [
            {
                "action": "FailJob",
                "onExitCodes": {"containerName": "learner", "operator": "In", "values": [78]},
            }
        ]
    }
    assert spec["template"]["spec"]["restartPolicy"] == "Never"


def test_generators_are_replaced_one_at_a_time_on_the_gpus_they_have() -> None:
    spec = children_of(make_run(generators={"replicas": 4}))["Deployment/math-generator"]["spec"]
    assert spec["replicas"] == 4
    assert spec["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}


def test_mutable_children_carry_a_digest_and_immutable_ones_none() -> None:
    children = children_of(make_run())
    assert {name for name, manifest in children.items() if digest_of(manifest)} == MUTABLE
    assert len({digest_of(children[name]) for name in MUTABLE}) == len(MUTABLE)


# What changes in a run -> the children whose digest moves.
TOUCHED: dict[str, tuple[GRPORun, set[str]]] = {
    "nothing": (make_run(), set()),
    "generators": (make_run(generators={"replicas": 2}), {"Deployment/math-generator"}),
    "image": (make_run(generators={"image": "mine"}), {"Deployment/math-generator"}),
    "learners": (make_run(learners={"replicas": 2}), {"ConfigMap/math-config"}),
    "checkpoint": (make_run(checkpoint={"keep": 9}), {"ConfigMap/math-config"}),
    "staleness": (make_run(generators={"maxStaleness": 1}), {"ConfigMap/math-config", "Deployment/math-generator"}),
    "sampling": (make_run(sampling={"dynamic": True}), {"ConfigMap/math-config", "Deployment/math-generator"}),
    "completions": (make_run(completions={"groupsPerStep": 1}), {"ConfigMap/math-config"}),
    "restarts": (make_run(maxRestarts=9), set()),
    "a suspension": (make_run(suspend=True), set()),
}


@pytest.mark.parametrize(("run", "touched"), TOUCHED.values(), ids=TOUCHED.keys())
def test_digests_move_with_what_they_stand_for(run: GRPORun, touched: set[str]) -> None:
    before, after = children_of(make_run()), children_of(run)
    assert {name for name in MUTABLE if digest_of(before[name]) != digest_of(after[name])} == touched


def test_a_digest_is_a_function_of_content_and_not_of_order() -> None:
    """Kept short and fixed: a digest that changed by itself would have every child of every run written again."""
    manifest: dict[str, Any] = {"kind": "ConfigMap", "metadata": {"name": "a", "annotations": {"x": "y"}}, "data": {}}
    reordered = dict(reversed(manifest.items()))
    assert digest_of(stamped(manifest)) == digest_of(stamped(reordered)) == "bb7d3a900d5c71a5"
    assert stamped(manifest)["metadata"]["annotations"].keys() == {"x", "grpo.dev/digest"}
    assert digest_of(manifest) == "", "the input is left as it is"
