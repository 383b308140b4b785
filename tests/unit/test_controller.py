"""What the controller asks of the API server in one look, against one that keeps objects in memory."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from grpo_contract.labels import ATTEMPT_LABEL, RUN_LABEL
from grpo_operator.api.status import ConditionType
from grpo_operator.cache import Cache, Key
from grpo_operator.controller import Controller
from grpo_operator.kube import ApiError, OutdatedError, RefusedError
from grpo_operator.metrics import OperatorMetrics
from grpo_operator.resources import Resource
from grpo_operator.workqueue import WorkQueue
from unit.desired_inputs import UID, make_run
from unit.observed_inputs import NAME, SETTINGS, ago, make_condition

Manifest = dict[str, Any]

CLAIM = f"PersistentVolumeClaim/{NAME}-volume"


class FakeApi:
    def __init__(self, *objects: Manifest) -> None:
        self.objects: dict[str, Manifest] = {}
        self.version = 0
        self.status: Manifest = {}
        self.has_reported = asyncio.Event()
        self.refused: str | None = None
        self.broken: str | None = None
        self.tries = 0
        self.outdated: list[str] = []
        self.conflicts = 0
        self.events_to_break = 0
        self.deleted: list[str] = []
        self.deletions_to_see = 1
        self.gone: list[str] = []
        self.has_deleted = asyncio.Event()
        self.has_found_run = asyncio.Event()
        self.has_event = asyncio.Event()
        for manifest in objects:
            self._store(manifest)

    async def create(self, manifest: Manifest) -> Manifest:
        if manifest["kind"] == "Event":
            self._tell_event()
        if _reference(manifest) in self.objects:
            raise RefusedError(409, "already exists")
        return self._store(manifest)

    async def apply(self, manifest: Manifest, force: bool) -> Manifest:
        if self.conflicts > 0:
            self.conflicts -= 1
            raise RefusedError(409, "Operation cannot be fulfilled on resourcequotas: the object has been modified")
        if _reference(manifest) == self.refused:
            raise RefusedError(403, "exceeded quota: pods")
        if _reference(manifest) == self.broken:
            self.tries += 1
            raise ApiError("500: Internal error occurred: failed calling webhook")
        return self._store(manifest)

    async def delete(self, resource: Resource, namespace: str, name: str, uid: str, version: str | None = None) -> bool:
        self.deleted.append(f"{resource.kind}/{name}" + (f" {version}" if version else ""))
        if len(self.deleted) >= self.deletions_to_see:
            self.has_deleted.set()
        return f"{resource.kind}/{name}" not in self.gone

    def now(self) -> datetime:
        return datetime.now(UTC)

    async def get(self, resource: Resource, namespace: str, name: str) -> Manifest | None:
        if resource.kind == "GRPORun":
            self.has_found_run.set()
        return self.objects.get(f"{resource.kind}/{name}")

    async def apply_status(self, namespace: str, name: str, uid: str, version: str, status: Manifest) -> Manifest:
        if version in self.outdated:
            self.outdated.remove(version)
            raise OutdatedError("the object has been modified")
        self.status = status
        self.has_reported.set()
        return self._store(run_manifest() | {"status": status})

    def _tell_event(self) -> None:
        if self.events_to_break > 0:
            self.events_to_break -= 1
            raise ApiError("429: limit reached on type Namespace")
        self.has_event.set()

    def _store(self, manifest: Manifest) -> Manifest:
        self.version += 1
        given = {"uid": f"uid-{self.version}", "resourceVersion": str(self.version), "creationTimestamp": ago(0)}
        stored = manifest | {"metadata": given | manifest["metadata"] | {"resourceVersion": str(self.version)}}
        self.objects[_reference(stored)] = stored
        return stored


def _reference(manifest: Mapping[str, Any]) -> str:
    return f"{manifest['kind']}/{manifest['metadata']['name']}"


def run_manifest(**spec: Any) -> Manifest:
    run = make_run(**spec)
    return {"kind": "GRPORun"} | run.model_dump(mode="json", by_alias=True, exclude={"status"})


def look(
    api: FakeApi, run: Manifest, *children: Manifest, until: asyncio.Event | None = None, at_most_s: float = 10
) -> None:
    """Until the first status is stored, or something else was done."""

    async def test() -> None:
        cache, queue = Cache(), WorkQueue[Key]()
        metrics = OperatorMetrics(cache.accounts, lambda: queue.depth, lambda: True)
        kube: Any = api
        reader: Any = None
        controller = Controller(kube, SETTINGS, cache, queue, reader, metrics, "test")
        cache.put_reported("GRPORun", run | {"metadata": run["metadata"] | {"resourceVersion": "1"}})
        for child in children:
            cache.put_reported(child["kind"], child)
        queue.add((run["metadata"]["namespace"], NAME))
        working = asyncio.create_task(controller.run())
        try:
            await asyncio.wait_for((until or api.has_reported).wait(), at_most_s)
        finally:
            working.cancel()

    asyncio.run(test())


def claim(labels: dict[str, str], **metadata: Any) -> Manifest:
    metadata = {"name": f"{NAME}-volume", "namespace": "team", "labels": labels} | metadata
    if not labels:
        del metadata["labels"]
    spec = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}}}
    return {"kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec, "status": {"phase": "Bound"}}


@pytest.mark.parametrize("labels", [{}, {RUN_LABEL: "another"}], ids=["without label", "of another run"])
@pytest.mark.parametrize("retain", [True, False])
def test_a_strangers_claim_is_not_used(labels: dict[str, str], retain: bool) -> None:
    api = FakeApi(claim(labels))
    look(api, run_manifest(storage={"size": "1Gi", "retain": retain}))
    (accepted,) = [entry for entry in api.status["conditions"] if entry["type"] == "Accepted"]
    assert (accepted["status"], accepted["reason"]) == ("False", "NameTaken")
    assert f"PersistentVolumeClaim {NAME}-volume" in accepted["message"]
    children = {reference for reference in api.objects if not reference.startswith(("GRPORun/", "Event/"))}
    assert children == {CLAIM}, "a pod would mount it"
    assert api.objects[CLAIM]["metadata"].get("labels", {}) == labels


def test_the_claim_that_an_earlier_run_left_is_used() -> None:
    api = FakeApi(claim({RUN_LABEL: NAME}))
    look(api, run_manifest(storage={"size": "1Gi", "retain": True}))
    (accepted,) = [entry for entry in api.status["conditions"] if entry["type"] == "Accepted"]
    assert accepted["status"] == "True"
    assert f"Job/{NAME}-learner-1" in api.objects


@pytest.mark.parametrize(
    ("refused", "condition_type"),
    [
        (f"Deployment/{NAME}-generator", "GeneratorsReady"),
        (f"Service/{NAME}-generator", "GeneratorsReady"),
        (f"NetworkPolicy/{NAME}-learner", "LearnersReady"),
    ],
)
def test_what_is_refused_to_an_accepted_run_is_said_of_its_role(refused: str, condition_type: str) -> None:
    api = FakeApi()
    api.refused = refused
    accepted = make_condition(ConditionType.ACCEPTED, "True", "Accepted").model_dump(mode="json", by_alias=True)
    look(api, run_manifest() | {"status": {"conditions": [accepted], "startedAt": ago(0)}})
    told = {entry["type"]: entry for entry in api.status["conditions"] if entry["reason"] == "ChildRefused"}
    assert set(told) == {condition_type, "Progressing"}
    assert refused.replace("/", " ") in told[condition_type]["message"]
    assert "(exceeded quota: pods)" in told[condition_type]["message"]


def test_what_keeps_failing_is_said_and_tried_again() -> None:
    api = FakeApi()
    api.broken = f"NetworkPolicy/{NAME}-learner"
    look(api, run_manifest())
    assert api.tries == 2, "the first failure is not worth a word"
    (accepted,) = [entry for entry in api.status["conditions"] if entry["type"] == "Accepted"]
    assert (accepted["status"], accepted["reason"]) == ("False", "ChildRefused")
    assert f"NetworkPolicy {NAME}-learner" in accepted["message"]
    assert "(500: Internal error occurred: failed calling webhook)" in accepted["message"]
    assert f"Job/{NAME}-learner-1" in api.objects, "the others are written all the same"


def test_a_conflict_that_names_nobody_is_tried_again_and_not_taken_for_a_strangers_object() -> None:
    api = FakeApi()
    api.conflicts = 1
    look(api, run_manifest())
    (accepted,) = [entry for entry in api.status["conditions"] if entry["type"] == "Accepted"]
    assert (accepted["status"], accepted["reason"]) == ("True", "Accepted")
    assert api.conflicts == 0


def test_a_status_that_was_made_from_an_older_run_is_made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("grpo_operator.controller.CHANGED_AGAIN_S", 0.1)
    api = FakeApi()
    api.outdated = ["1"]
    look(api, run_manifest())
    assert (api.outdated, api.status["phase"]) == ([], "Starting")


def test_a_run_that_goes_on_has_failed_no_more() -> None:
    failed = make_condition(ConditionType.FAILED, "True", "MaxRestartsExceeded").model_dump(mode="json", by_alias=True)
    api = FakeApi()
    look(api, run_manifest(maxRestarts=1) | {"status": {"conditions": [failed], "finishedAt": ago(60)}})
    assert "Failed" not in {entry["type"] for entry in api.status["conditions"]}
    assert (api.status["attempt"], api.status["phase"]) == (2, "Restarting")
    assert "finishedAt" not in api.status


def job_of_attempt_1() -> Manifest:
    metadata = {
        "name": f"{NAME}-learner-1",
        "namespace": "team",
        "uid": "job-1",
        "resourceVersion": "1",
        "creationTimestamp": ago(100),
        "labels": {RUN_LABEL: NAME, ATTEMPT_LABEL: "1"},
        "ownerReferences": [{"uid": UID, "controller": True}],
    }
    return {"kind": "Job", "metadata": metadata, "status": {}}


def resumed_run() -> Manifest:
    """Its first look tells the Event `Resumed`, and the second one removes the Job of attempt 1."""
    failed = make_condition(ConditionType.FAILED, "True", "MaxRestartsExceeded").model_dump(mode="json", by_alias=True)
    return run_manifest(maxRestarts=1) | {"status": {"conditions": [failed], "finishedAt": ago(60)}}


def test_an_event_that_cannot_be_posted_holds_up_no_deletion() -> None:
    api = FakeApi()
    api.events_to_break = 1000
    look(api, resumed_run(), job_of_attempt_1(), until=api.has_deleted)
    assert api.deleted == [f"Job/{NAME}-learner-1"]
    assert api.events_to_break == 999, "the next try is not at once"


def test_an_event_that_could_not_be_posted_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("grpo_operator.controller.EVENTS_AGAIN_S", 0.1)
    api = FakeApi()
    api.events_to_break = 2
    look(api, resumed_run(), job_of_attempt_1(), until=api.has_event)
    assert api.events_to_break == 0
    events = [manifest["reason"] for reference, manifest in api.objects.items() if reference.startswith("Event/")]
    assert events[0] == "Resumed"
    assert len(events) == len(set(events))


def test_what_was_to_be_removed_is_looked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The API server's answer to the first try may have been a conflict, and no watch tells of that."""
    monkeypatch.setattr("grpo_operator.controller.REMOVED_WITHIN_S", 0.1)
    api = FakeApi()
    api.deletions_to_see = 2
    look(api, resumed_run(), job_of_attempt_1(), until=api.has_deleted)
    assert api.deleted == 2 * [f"Job/{NAME}-learner-1"]


def test_what_is_found_to_be_gone_is_known_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was deleted while no watch looked. Learners of the next attempt wait for it."""
    monkeypatch.setattr("grpo_operator.controller.REMOVED_WITHIN_S", 0.1)
    api = FakeApi(claim({RUN_LABEL: NAME}))
    api.gone = [f"Job/{NAME}-learner-1"]
    api.deletions_to_see = 2
    with pytest.raises(TimeoutError):
        look(api, resumed_run(), job_of_attempt_1(), until=api.has_deleted, at_most_s=1)
    assert api.deleted == [f"Job/{NAME}-learner-1"]


def run_to_be_removed() -> Manifest:
    succeeded = make_condition(ConditionType.SUCCEEDED, "True", "Completed").model_dump(mode="json", by_alias=True)
    status = {"conditions": [succeeded], "finishedAt": ago(60), "phase": "Succeeded", "observedGeneration": 1}
    return run_manifest(ttlSecondsAfterFinished=60) | {"status": status}


def test_a_run_is_removed_as_it_was_found() -> None:
    api = FakeApi(run_to_be_removed())
    look(api, run_to_be_removed(), until=api.has_deleted)
    assert api.deleted == [f"GRPORun/{NAME} 1"]


def test_a_run_that_was_changed_meanwhile_stays() -> None:
    changed = run_to_be_removed()
    changed["metadata"] = changed["metadata"] | {"generation": 2}
    api = FakeApi(changed)
    look(api, run_to_be_removed(), until=api.has_found_run)
    assert api.deleted == []


@pytest.mark.parametrize("is_there", [True, False])
def test_code_of_rewards_is_looked_for_before_learners_are_made(is_there: bool) -> None:
    theirs = {"kind": "ConfigMap", "metadata": {"name": "mine", "namespace": "team"}, "data": {"mine.py": ""}}
    api = FakeApi(theirs) if is_there else FakeApi()
    look(api, run_manifest(rewards={"from": [{"configMap": {"name": "mine"}}]}))
    (accepted,) = [entry for entry in api.status["conditions"] if entry["type"] == "Accepted"]
    assert accepted["reason"] == ("Accepted" if is_there else "RewardCodeNotFound")
    assert (f"Job/{NAME}-learner-1" in api.objects) == is_there
