"""What is known of runs and children, from watches and from answers to our own writes."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from grpo_contract.labels import RUN_LABEL
from grpo_operator.cache import Cache, Key
from grpo_operator.health import DEAF_AFTER_S, ailment
from grpo_operator.kube import ApiError, RefusedError
from grpo_operator.listing import FIRST_SWEEP_AFTER_S, LISTED_WITHIN_S, Lister
from grpo_operator.resources import CHILDREN, Resource, watch_selector
from grpo_operator.workqueue import WorkQueue
from unit.skipping_loop import with_clock

KEY = ("team", "math")
PLACE = ("ConfigMap", "team", "math-config")


def config_map(version: int = 1, uid: str = "u1", run: str = "math") -> dict[str, Any]:
    metadata = {"namespace": "team", "name": "math-config", "uid": uid, "labels": {RUN_LABEL: run}}
    return {"metadata": metadata | {"resourceVersion": str(version)}}


def run_manifest(version: int = 1, step: int = 0, **metadata: Any) -> dict[str, Any]:
    usual = {"namespace": "team", "name": "math", "uid": "r1", "resourceVersion": str(version), "generation": 1}
    return {"metadata": usual | metadata, "spec": {"a": 1}, "status": {"phase": "Running", "progress": {"step": step}}}


def test_what_a_watch_tells_is_known() -> None:
    cache = Cache()
    assert cache.put_reported("ConfigMap", config_map())
    assert cache.put_reported("GRPORun", run_manifest())
    (child,) = cache.children(KEY)
    assert (child.kind, child.name, child.uid) == ("ConfigMap", "math-config", "u1")
    run = cache.run(KEY)
    assert run is not None
    assert run["spec"] == {"a": 1}
    ((key, account),) = cache.accounts()
    assert (key, account.phase) == (KEY, "Running")
    assert cache.run(("team", "other")) is None
    assert cache.children(("other", "math")) == ()


def test_only_what_matters_is_news() -> None:
    cache = Cache()
    cache.put_reported("GRPORun", run_manifest(1))
    assert not cache.put_reported("GRPORun", run_manifest(2, managedFields=[], annotations={"note": "seen"}))
    assert cache.put_reported("GRPORun", run_manifest(3, step=1))
    assert not cache.put_reported("GRPORun", run_manifest(2, step=0)), "older"
    run = cache.run(KEY)
    assert run is not None
    assert run["status"]["progress"]["step"] == 1


def test_the_news_of_our_own_write_are_none() -> None:
    cache = Cache()
    cache.put_written("ConfigMap", config_map(5))
    assert len(cache.children(KEY)) == 1
    assert not cache.put_reported("ConfigMap", config_map(5))
    assert cache.put_reported("ConfigMap", config_map(6)), "a kind without generation: somebody wrote it"


def test_a_write_that_no_watch_tells_of_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr("grpo_operator.cache.monotonic", lambda: now[0])
    cache, queue = Cache(), WorkQueue[Key]()
    cache.put_reported("ConfigMap", config_map(5))
    cache.put_written("ConfigMap", config_map(5))  # nothing changed, so nothing will be told
    now[0] += DEAF_AFTER_S + 1
    assert cache.oldest_unconfirmed_s == 0
    cache.put_written("ConfigMap", config_map(7))
    now[0] += DEAF_AFTER_S
    assert ailment(queue, cache, is_leading=True) is None
    now[0] += 1
    assert ailment(queue, cache, is_leading=True) == "a write was not reported for 121 s: a watch has died"
    assert ailment(queue, cache, is_leading=False) is None
    cache.put_reported("ConfigMap", config_map(6))
    assert cache.oldest_unconfirmed_s == DEAF_AFTER_S + 1
    cache.put_reported("ConfigMap", config_map(8))
    assert cache.oldest_unconfirmed_s == 0


def test_a_deleted_object_is_forgotten_and_does_not_come_back_by_a_late_answer() -> None:
    cache = Cache()
    cache.put_reported("ConfigMap", config_map(1))
    cache.drop_reported("ConfigMap", config_map(3))
    cache.put_written("ConfigMap", config_map(2))
    assert cache.children(KEY) == ()
    assert cache.oldest_unconfirmed_s == 0
    assert cache.put_reported("ConfigMap", config_map(4, uid="u2"))


def test_a_child_whose_label_was_taken_away_comes_back_with_it() -> None:
    cache = Cache()
    cache.put_reported("ConfigMap", config_map(1))
    cache.drop_reported("ConfigMap", config_map(2))  # as a watch by label tells it
    assert cache.put_reported("ConfigMap", config_map(3))
    assert len(cache.children(KEY)) == 1
    cache.drop_reported("ConfigMap", config_map(4))
    cache.put_written("ConfigMap", config_map(5))
    assert len(cache.children(KEY)) == 1
    assert cache.oldest_unconfirmed_s > 0


def test_what_a_sweep_missed_comes_back_when_it_is_told_of_anew() -> None:
    cache = Cache()
    cache.put_reported("ConfigMap", config_map(3))
    cache.drop(PLACE, "u1")
    cache.put_written("ConfigMap", config_map(3))
    assert cache.children(KEY) == ()
    assert cache.put_reported("ConfigMap", config_map(4))


def test_a_deletion_that_was_told_of_is_not_forgotten_for_a_sweep() -> None:
    cache = Cache()
    cache.put_reported("ConfigMap", config_map(1))
    cache.drop_reported("ConfigMap", config_map(3))
    cache.drop(PLACE, "u1")
    cache.put_written("ConfigMap", config_map(2))
    assert cache.children(KEY) == ()
    assert cache.oldest_unconfirmed_s == 0


def test_the_deletion_of_an_old_object_leaves_the_new_one_of_its_name() -> None:
    cache = Cache()
    cache.put_reported("ConfigMap", config_map(1))
    cache.put_written("ConfigMap", config_map(3, uid="u2"))
    cache.drop_reported("ConfigMap", config_map(2))
    assert [child.uid for child in cache.children(KEY)] == ["u2"]


def test_a_child_that_is_given_to_another_run_leaves_the_first() -> None:
    cache = Cache()
    cache.put_reported("ConfigMap", config_map(1))
    cache.put_reported("ConfigMap", config_map(2, run="other"))
    assert cache.children(KEY) == ()
    assert len(cache.children(("team", "other"))) == 1


class FakeKube:
    """Answers lists from memory, and keeps what it was asked."""

    def __init__(self, objects: dict[str, list[dict[str, Any]]]) -> None:
        self.stored, self.asked = objects, set[tuple[str, str | None, str | None]]()

    async def objects(
        self, resource: Resource, namespace: str | None, label_selector: str | None
    ) -> AsyncIterator[dict[str, Any]]:
        self.asked.add((resource.kind, namespace, label_selector))
        for manifest in self.stored.get(resource.kind, []):
            yield manifest

    async def uids(self, resource: Resource, namespace: str | None, label_selector: str | None) -> set[str]:
        return {manifest["metadata"]["uid"] for manifest in self.stored.get(resource.kind, [])}


def test_a_start_knows_everything_and_looks_at_every_run() -> None:
    async def test() -> None:
        cache, queue = Cache(), WorkQueue[Key]()
        kube: Any = FakeKube({"GRPORun": [run_manifest()], "ConfigMap": [config_map()]})
        await Lister(kube, cache, queue, ["team"]).fill()
        assert cache.run(KEY) is not None
        assert len(cache.children(KEY)) == 1
        assert await queue.take() == KEY
        assert ("Secret", "team", RUN_LABEL) in kube.asked
        assert ("GRPORun", "team", None) in kube.asked

    asyncio.run(test())


def test_a_sweep_finds_what_went_away_unnoticed() -> None:
    async def test() -> None:
        cache, queue = Cache(), WorkQueue[Key]()
        kube: Any = FakeKube({"GRPORun": [run_manifest()]})
        cache.put_reported("GRPORun", run_manifest())
        cache.put_reported("ConfigMap", config_map())
        sweeping = asyncio.create_task(Lister(kube, cache, queue, []).sweep_for_ever(every_s=0.01))
        async with asyncio.timeout(5):
            assert await queue.take() == KEY
        sweeping.cancel()
        assert cache.children(KEY) == ()
        assert cache.run(KEY) is not None

    asyncio.run(test())


class FailingKube(FakeKube):
    """Lists fail with these errors first."""

    def __init__(self, errors: list[ApiError]) -> None:
        super().__init__({"GRPORun": [run_manifest()]})
        self.errors = errors

    async def objects(
        self, resource: Resource, namespace: str | None, label_selector: str | None
    ) -> AsyncIterator[dict[str, Any]]:
        if self.errors:
            raise self.errors.pop(0)
        async for manifest in super().objects(resource, namespace, label_selector):
            yield manifest


def test_a_start_waits_for_an_api_server_that_does_not_answer() -> None:
    async def test() -> None:
        cache, queue = Cache(), WorkQueue[Key]()
        busy = ApiError("429: too many requests")
        busy.retry_after_s = 7
        kube: Any = FailingKube([ApiError("500"), ApiError("no connection"), busy])
        await Lister(kube, cache, queue, []).fill()
        assert asyncio.get_running_loop().time() == 0.5 + 1 + 7
        assert await queue.take() == KEY

    with_clock(test())


def test_a_start_without_the_right_to_list_is_none() -> None:
    async def test() -> None:
        kube: Any = FailingKube([RefusedError(403, "forbidden")])
        with pytest.raises(RefusedError):
            await Lister(kube, Cache(), WorkQueue[Key](), []).fill()

    asyncio.run(test())


def test_what_a_watch_may_have_missed_is_looked_for_when_lists_are_over() -> None:
    async def test() -> None:
        cache, queue = Cache(), WorkQueue[Key]()
        kube: Any = FakeKube({"GRPORun": [run_manifest()]})
        cache.put_reported("GRPORun", run_manifest())
        lister = Lister(kube, cache, queue, [])
        sweeping = asyncio.create_task(lister.sweep_for_ever(every_s=600))
        await asyncio.sleep(FIRST_SWEEP_AFTER_S + 1)
        cache.put_reported("ConfigMap", config_map())
        for _ in range(4):
            lister.heard_of_list()
            await asyncio.sleep(1)
        assert len(cache.children(KEY)) == 1, "more may be listed"
        await asyncio.sleep(2 * LISTED_WITHIN_S)
        assert cache.children(KEY) == ()
        sweeping.cancel()

    with_clock(test())


def test_no_secret_of_anybody_else_is_asked_for() -> None:
    assert all(watch_selector(resource) for resource in CHILDREN)
