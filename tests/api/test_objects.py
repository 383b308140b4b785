"""CRD and types say the same: defaults, the status that the operator writes, and what each subresource may touch."""

from typing import Any

import pytest
from pydantic import BaseModel

from api.client import DRY, RUNS, STRICT, ApiServer
from api.tables import DEFAULTS
from grpo_contract.progress import BestEvaluation, CheckpointProgress, EvaluationProgress, Metrics, Steps
from grpo_operator.api.run import GRPORun
from grpo_operator.api.status import (
    BenchmarkPhase,
    BenchmarkStatus,
    Condition,
    ConditionType,
    GeneratorStatus,
    GRPORunStatus,
    LastFailure,
    LearnerStatus,
    Phase,
    RecipeNote,
    RecipeStatus,
)
from grpo_operator.desired.benchmarks import build_benchmark_job
from grpo_operator.resources import JOB
from harness.crd import NAME
from harness.kubectl import Manifest
from harness.merge_patch import merge_patch
from unit.benchmark_inputs import SETTINGS, benchmarked_run

TIME = "2026-11-24T05:00:00Z"


def filled(model: type[BaseModel], **given: Any) -> Any:
    """An instance of which every field says something."""
    samples: dict[str, Any] = {"dict": {"accuracy": 0.5}, "list": ["line"], "int": 3, "float": 0.25, "str": "text"}
    values = {}
    for name, field in model.model_fields.items():
        values[name] = (
            given[name]
            if name in given
            else next(sample for kind, sample in samples.items() if kind in str(field.annotation))
        )
    return model(**values)


def full_status() -> GRPORunStatus:
    conditions = [filled(Condition, type=kind, status="True", last_transition_time=TIME) for kind in ConditionType]
    status: GRPORunStatus = filled(
        GRPORunStatus,
        phase=Phase.RUNNING,
        conditions=conditions,
        recipe=filled(RecipeStatus, notes=[filled(RecipeNote)]),
        progress=filled(Steps),
        metrics=filled(Metrics),
        evaluation=filled(EvaluationProgress, time=TIME, best=filled(BestEvaluation)),
        checkpoint=filled(CheckpointProgress, time=TIME),
        learners=filled(LearnerStatus),
        generators=filled(GeneratorStatus, first_ready_at=TIME),
        benchmarks=[filled(BenchmarkStatus, phase=BenchmarkPhase.RUNNING, scores={"math_500|0": {"pass@1": 0.5}})],
        last_failure=filled(LastFailure, time=TIME),
        started_at=TIME,
        suspended_at=TIME,
        finished_at=TIME,
    )
    return status


def test_defaults(api_server: ApiServer, base_run: Manifest) -> None:
    answer = api_server.try_create(base_run)
    assert answer.body["spec"] == base_run["spec"] | DEFAULTS


def test_types_have_the_defaults_of_the_crd(api_server: ApiServer, base_run: Manifest) -> None:
    stored = api_server.create(merge_patch(base_run, {"metadata": {"name": "defaults"}}))
    run = GRPORun.parse(stored)
    assert run.spec == GRPORun.parse(stored | {"spec": base_run["spec"]}).spec
    assert run.status == GRPORunStatus()


def test_a_given_part_of_an_object_leaves_its_other_defaults(api_server: ApiServer, base_run: Manifest) -> None:
    patch = {"spec": {"learners": {"replicas": 2}, "checkpoint": {"keep": 9}}}
    spec = api_server.try_create(merge_patch(base_run, patch)).body["spec"]
    assert spec["learners"] == {"replicas": 2, "gpus": 1}
    assert spec["checkpoint"] == {"everySteps": 50, "keep": 9}


def test_the_operators_status_is_stored_whole(api_server: ApiServer, base_run: Manifest) -> None:
    api_server.create(merge_patch(base_run, {"metadata": {"name": "status"}}))
    written = full_status().model_dump(mode="json", by_alias=True)
    assert api_server.patch_status("status", written)["status"] == written


def test_an_empty_status_gets_no_defaults(api_server: ApiServer, base_run: Manifest) -> None:
    """A default that the API server adds would look like a difference to the operator in each pass."""
    api_server.create(merge_patch(base_run, {"metadata": {"name": "no-status"}}))
    assert api_server.patch_status("no-status", {"attempt": 1})["status"] == {"attempt": 1}


def test_status_and_spec_are_written_separately(api_server: ApiServer, base_run: Manifest) -> None:
    run = merge_patch(base_run, {"metadata": {"name": "separate"}, "status": {"phase": "Succeeded"}})
    stored = api_server.create(run)
    assert "status" not in stored
    patch = {"spec": {"maxRestarts": 99}, "status": {"phase": "Running"}}
    answer = api_server.send("PATCH", f"{RUNS}/separate/status", patch, **STRICT)
    assert (answer.body["spec"]["maxRestarts"], answer.body["status"]) == (5, {"phase": "Running"})
    assert answer.body["metadata"]["generation"] == stored["metadata"]["generation"]


def test_two_conditions_of_one_type_are_refused(api_server: ApiServer, base_run: Manifest) -> None:
    api_server.create(merge_patch(base_run, {"metadata": {"name": "conditions"}}))
    condition = full_status().conditions[0].model_dump(mode="json", by_alias=True)
    body = {"status": {"conditions": [condition, condition]}}
    answer = api_server.send("PATCH", f"{RUNS}/conditions/status", body, **STRICT)
    assert answer.complaints == [("status.conditions[1]", 'Duplicate value: {"type":"Accepted"}')]


@pytest.mark.parametrize("recipe", [{}, {"use_peft": True}])
def test_the_job_of_a_benchmark_is_what_the_api_server_takes(api_server: ApiServer, recipe: Manifest) -> None:
    job = build_benchmark_job(benchmarked_run(**recipe), SETTINGS, "checkpoint-50").manifest
    job["metadata"]["namespace"] = "default"
    answer = api_server.send("POST", JOB.path("default"), job, **DRY)
    assert (answer.accepted, answer.warnings) == (True, ""), answer.body


def test_the_api_server_finds_no_fault_with_the_schema(api_server: ApiServer) -> None:
    crd = api_server.kubectl.get("crd", NAME)
    conditions = {entry["type"]: entry["status"] for entry in crd["status"]["conditions"]}
    assert conditions == {"NamesAccepted": "True", "Established": "True"}
    assert crd["spec"]["names"] == {
        "kind": "GRPORun",
        "listKind": "GRPORunList",
        "plural": "grporuns",
        "singular": "grporun",
        "shortNames": ["grpo"],
    }
