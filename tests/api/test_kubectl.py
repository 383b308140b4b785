"""The API as people meet it: kubectl apply, explain, get, scale, and what it says about misspelt keys."""

import json
from pathlib import Path

import pytest
import yaml

from api.client import ApiServer
from grpo_operator.api.recipe_keys import read_recipe_schema
from grpo_operator.api.run import GRPORun
from harness.kubectl import Kubectl, Manifest, load_manifests
from harness.layout import MANIFESTS, ROOT
from harness.merge_patch import merge_patch

SAMPLES = sorted(MANIFESTS.rglob("*.yaml"))
REFERENCE = ROOT / "docs" / "reference.md"
MISSPELT = {"spec": {"recipe": {"num_generation": 8}}}


@pytest.fixture
def kubectl(api_server: ApiServer) -> Kubectl:
    return api_server.kubectl


def named(run: Manifest, name: str) -> Manifest:
    return merge_patch(run, {"metadata": {"name": name}})


def test_explain_prints_trls_help_text(kubectl: Kubectl) -> None:
    explained = " ".join(kubectl("explain", "grporun.spec.recipe.beta").split())
    beta = read_recipe_schema()["properties"]["beta"]
    assert beta["description"].startswith("KL coefficient. If `0.0` (default), the reference model is not loaded")
    assert f"FIELD: beta <number> DESCRIPTION: {beta['description']} TRL's default: 0.0." in explained


def test_explain_says_which_keys_are_not_the_recipes(kubectl: Kubectl) -> None:
    explained = " ".join(kubectl("explain", "grporun.spec.recipe.deepspeed").split())
    assert "Not the recipe's to set: the learners run under DeepSpeed ZeRO-3." in explained


@pytest.mark.parametrize("command", ["create", "apply"])
def test_a_misspelt_key_is_refused(kubectl: Kubectl, base_run: Manifest, command: str) -> None:
    answer = kubectl.attempt(
        command, "-f", "-", stdin=yaml.safe_dump(merge_patch(named(base_run, "misspelt"), MISSPELT))
    )
    assert answer.returncode == 1
    assert answer.stderr.strip().endswith('strict decoding error: unknown field "spec.recipe.num_generation"')


def test_a_wrong_type_is_refused_with_the_sentence_of_the_reference(kubectl: Kubectl, base_run: Manifest) -> None:
    manifest = merge_patch(named(base_run, "mistyped"), {"spec": {"recipe": {"beta": "0.04"}}})
    answer = kubectl.attempt("apply", "-f", "-", stdin=yaml.safe_dump(manifest))
    sentence = 'spec.recipe.beta: Invalid value: "string": spec.recipe.beta in body must be of type number: "string"'
    assert answer.returncode == 1
    assert sentence in answer.stderr
    assert f"`{sentence}`" in REFERENCE.read_text()


@pytest.mark.parametrize("validation", ["--validate=true", "--validate=false"])
def test_server_side_apply_refuses_a_misspelt_key_from_everybody(
    kubectl: Kubectl, base_run: Manifest, validation: str
) -> None:
    manifest = yaml.safe_dump(merge_patch(named(base_run, "misspelt"), MISSPELT))
    answer = kubectl.attempt("apply", "--server-side", validation, "-f", "-", stdin=manifest)
    assert answer.returncode == 1
    assert answer.stderr.strip().endswith(".spec.recipe.num_generation: field not declared in schema")


def test_a_client_that_asks_for_no_validation_loses_a_misspelt_key(api_server: ApiServer, base_run: Manifest) -> None:
    """What docs/reference.md says about it, and why the learner checks the recipe again."""
    path = "/apis/grpo.dev/v1alpha1/namespaces/default/grporuns"
    answer = api_server.send("POST", path, merge_patch(base_run, MISSPELT), dryRun="All")
    assert answer.accepted
    assert "num_generation" not in answer.body["spec"]["recipe"]
    assert 'unknown field \\"spec.recipe.num_generation\\"' in answer.warnings


@pytest.mark.parametrize("field", ["learner", "generators.replica", "storage.retian", "generators.podTemplate.specs"])
def test_a_misspelt_field_is_refused(kubectl: Kubectl, base_run: Manifest, field: str) -> None:
    patch: Manifest = {"x": 1}
    for name in reversed(field.split(".")):
        patch = {name: patch}
    answer = kubectl.attempt(
        "apply", "-f", "-", stdin=yaml.safe_dump(merge_patch(named(base_run, "misspelt"), {"spec": patch}))
    )
    assert answer.stderr.strip().endswith(f'unknown field "spec.{field}"')


def test_yaml_reads_an_unquoted_no_as_false(kubectl: Kubectl, base_run: Manifest) -> None:
    manifest = yaml.safe_dump(named(base_run, "quotes")) + "\n"
    unquoted = manifest.replace("recipe:", "recipe:\n    eval_strategy: no")
    answer = kubectl.attempt("apply", "-f", "-", stdin=unquoted)
    assert 'spec.recipe.eval_strategy in body must be of type string: "boolean"' in answer.stderr


def test_client_side_apply_drops_nulls_and_server_side_apply_keeps_them(kubectl: Kubectl, base_run: Manifest) -> None:
    """What docs/reference.md says about keys whose null differs from TRL's default."""
    run = named(base_run, "nulls")
    run["spec"]["recipe"]["max_completion_length"] = None
    kubectl("apply", "-f", "-", stdin=yaml.safe_dump(run))
    assert "max_completion_length" not in kubectl.get("grporun", "nulls")["spec"]["recipe"]
    run = run | {"metadata": {"name": "kept-nulls"}}
    kubectl("apply", "--server-side", "-f", "-", stdin=yaml.safe_dump(run))
    assert kubectl.get("grporun", "kept-nulls")["spec"]["recipe"]["max_completion_length"] is None


@pytest.mark.parametrize("flag", ["--server-side=false", "--server-side=true"])
def test_a_second_apply_writes_nothing(kubectl: Kubectl, base_run: Manifest, flag: str) -> None:
    name = "twice-" + flag.rpartition("=")[2]
    manifest = yaml.safe_dump(named(base_run, name))
    kubectl("apply", flag, "-f", "-", stdin=manifest)
    first = kubectl.get("grporun", name)["metadata"]["resourceVersion"]
    kubectl("apply", flag, "-f", "-", stdin=manifest)
    assert kubectl.get("grporun", name)["metadata"]["resourceVersion"] == first


def test_get_prints_the_columns(api_server: ApiServer, kubectl: Kubectl, base_run: Manifest) -> None:
    api_server.create(named(base_run, "columns"))
    metrics = {"reward": 0.61, "kl": 0.013, "loss": -0.004}
    api_server.patch_status("columns", {"phase": "Running", "progress": {"step": 120}, "metrics": metrics})
    head, row = kubectl("get", "grpo", "columns").splitlines()
    assert head.split() == ["NAME", "PHASE", "STEP", "REWARD", "KL", "LOSS", "AGE"]
    assert row.split()[:-1] == ["columns", "Running", "120", "0.61", "0.013", "-0.004"]


def test_wide_output_has_the_recommendation(api_server: ApiServer, kubectl: Kubectl, base_run: Manifest) -> None:
    api_server.create(named(base_run, "wide"))
    api_server.patch_status("wide", {"recommendation": "Have 3 generators instead of 2."})
    head, row = kubectl("get", "grpo", "wide", "-o", "wide").splitlines()
    assert head.split()[-1] == "RECOMMENDATION"
    assert row.endswith("  Have 3 generators instead of 2.")


def test_columns_of_a_new_run_are_empty(api_server: ApiServer, kubectl: Kubectl, base_run: Manifest) -> None:
    api_server.create(named(base_run, "empty-columns"))
    (row,) = kubectl("get", "grpo", "empty-columns", "--no-headers").splitlines()
    assert len(row.split()) == 2


def test_get_all_does_not_list_runs(api_server: ApiServer, kubectl: Kubectl, base_run: Manifest) -> None:
    api_server.create(named(base_run, "not-in-all"))
    assert "not-in-all" not in kubectl("get", "all")


def test_scale_sets_the_generators(api_server: ApiServer, kubectl: Kubectl, base_run: Manifest) -> None:
    api_server.create(named(base_run, "scaled"))
    kubectl("scale", "grpo/scaled", "--replicas=5")
    assert kubectl.get("grpo", "scaled")["spec"]["generators"]["replicas"] == 5
    api_server.patch_status("scaled", {"generators": {"replicas": 4, "selector": "grpo.dev/run=scaled"}})
    scale = json.loads(kubectl("get", "grpo", "scaled", "--subresource=scale", "-o", "json"))
    assert (scale["spec"], scale["status"]) == ({"replicas": 5}, {"replicas": 4, "selector": "grpo.dev/run=scaled"})
    refused = kubectl.attempt("scale", "grpo/scaled", "--replicas=0")
    assert "spec.generators.replicas is 0, but a run needs a generator; set it to 1 or more." in refused.stderr


@pytest.mark.parametrize("file", SAMPLES, ids=lambda file: file.name)
def test_samples_are_accepted(kubectl: Kubectl, file: Path) -> None:
    kubectl("apply", "--dry-run=server", "-f", str(file))
    for run in load_manifests(file):
        if run["kind"] == "GRPORun":
            kubectl("apply", "-f", "-", stdin=yaml.safe_dump(run))
            stored = kubectl.get("grporun", run["metadata"]["name"])
            assert GRPORun.parse(stored).spec == GRPORun.parse(complete(run)).spec
            kubectl("delete", "grporun", run["metadata"]["name"])  # other tests have runs of the same names


def complete(run: Manifest) -> Manifest:
    """With the metadata that the API server adds."""
    added = {"namespace": "default", "uid": "u", "creationTimestamp": "2026-01-01T00:00:00Z"}
    return run | {"metadata": run["metadata"] | added}
