"""What becomes of the API server's answers: typed errors, pages joined, the log that has something to say."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar

import aiohttp
import pytest
from kubernetes.aio.client.exceptions import ApiException

from grpo_operator.kube import ApiError, Kube, RefusedError
from grpo_operator.resources import GRPORUN, POD

T = TypeVar("T")


@dataclass
class Answer:
    content: bytes
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)

    async def read(self) -> bytes:
        return self.content


@dataclass
class Server:
    """Stands in for the client: gives prepared answers one after the other, and keeps what was asked."""

    answers: list[Answer | Exception]
    asked: list[dict[str, Any]] = field(default_factory=list)
    counted: list[tuple[str, int]] = field(default_factory=list)

    async def request(self, method: str, path: str, **parameters: Any) -> Answer:
        self.asked.append(parameters)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def ask(self, question: Callable[[Kube], Awaitable[T]]) -> T:
        async def run() -> T:
            return await question(Kube(self, lambda method, status: self.counted.append((method, status))))

        return asyncio.run(run())


def failure(status: int, body: str | None = None, reason: str = "Because") -> ApiException:
    error = ApiException(status=status, reason=reason)
    error.body = body
    return error


def told(message: str) -> str:
    return json.dumps({"kind": "Status", "message": message})


def get(kube: Kube) -> Awaitable[Any]:
    return kube.exists(GRPORUN, "default")


ERRORS: dict[str, tuple[Exception, type[ApiError], str, int]] = {
    "refused": (failure(422, told("spec.x: Invalid")), RefusedError, "spec.x: Invalid", 422),
    "forbidden": (failure(403, told("no")), RefusedError, "no", 403),
    "busy": (failure(429, told("too many requests")), ApiError, "429: too many requests", 429),
    "a proxy's page": (failure(502, "<html>Bad Gateway</html>", "Bad Gateway"), ApiError, "502: 502 Bad Gateway", 502),
    "JSON that is no Status": (failure(500, "[]", "Error"), ApiError, "500: 500 Error", 500),
    "no body": (failure(503, None, "Unavailable"), ApiError, "503: 503 Unavailable", 503),
    "out of reach": (aiohttp.ClientConnectionError("refused"), ApiError, "ClientConnectionError refused", 0),
    "too late": (TimeoutError(), ApiError, "TimeoutError", 0),
}


@pytest.mark.parametrize("case", ERRORS)
def test_errors_have_a_type_and_a_sentence(case: str) -> None:
    error, expected, message, counted = ERRORS[case]
    server = Server([error])
    with pytest.raises(ApiError) as raised:
        server.ask(get)
    assert type(raised.value) is expected
    assert str(raised.value).endswith(message)
    assert server.counted == [("GET", counted)]


@pytest.mark.parametrize(("status", "is_conflict"), [(409, True), (422, False), (403, False)])
def test_only_one_refusal_is_a_conflict(status: int, is_conflict: bool) -> None:
    with pytest.raises(RefusedError) as raised:
        Server([failure(status, told("no"))]).ask(get)
    assert raised.value.is_conflict is is_conflict


TAKEN = json.dumps({"message": "no", "details": {"causes": [{"reason": "FieldManagerConflict", "field": ".spec.x"}]}})


@pytest.mark.parametrize(("body", "is_taken"), [(TAKEN, True), (told("the object has been modified"), False)])
def test_a_conflict_says_whether_somebody_else_has_what_was_asked_for(body: str, is_taken: bool) -> None:
    with pytest.raises(RefusedError) as raised:
        Server([failure(409, body)]).ask(get)
    assert (raised.value.is_conflict, raised.value.is_taken) == (True, is_taken)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [({}, 0), ({"Retry-After": "7"}, 7), ({"Retry-After": "86400"}, 60), ({"Retry-After": "Sat, 28 Nov 2026"}, 0)],
)
def test_the_api_server_says_when_to_ask_again(headers: dict[str, str], seconds: float) -> None:
    error = failure(429, told("too many requests"))
    error.headers = headers
    with pytest.raises(ApiError) as raised:
        Server([error]).ask(get)
    assert raised.value.retry_after_s == seconds


def test_a_guard_keeps_writes_from_being_sent_and_reads_not() -> None:
    def guard() -> None:
        raise ApiError("not now")

    server = Server([Answer(b"{}")])
    manifest = {"kind": "Pod", "metadata": {"namespace": "default", "name": "pod"}}
    server.ask(lambda kube: get(kube.guarded(guard)))
    with pytest.raises(ApiError, match="not now"):
        server.ask(lambda kube: kube.guarded(guard).create(manifest))
    assert len(server.asked) == 1


def test_what_is_not_there_is_none() -> None:
    assert Server([failure(404, told("not found"))]).ask(lambda kube: kube.get(POD, "default", "gone")) is None


def test_the_time_is_the_api_servers_also_before_writes_that_are_guarded() -> None:
    """What only reads may be a proxy's answer, of any time."""
    years = []

    async def ask(kube: Kube) -> None:
        guarded = kube.guarded(lambda: None)
        await kube.get(POD, "default", "pod")
        years.append(guarded.now().year)
        await kube.delete(POD, "default", "pod", "uid")
        years.append(guarded.now().year)

    dated = Answer(b"{}", headers={"Date": "Mon, 01 Jan 2035 00:00:00 GMT"})
    Server([dated, dated]).ask(ask)
    assert years == [datetime.now(UTC).year, 2035]


@pytest.mark.parametrize("status", [404, 409])
def test_deleting_what_is_gone_or_replaced_is_done(status: int) -> None:
    Server([failure(status, told("gone"))]).ask(lambda kube: kube.delete(POD, "default", "pod", "uid"))


@pytest.mark.parametrize(("version", "expected"), [(None, {"uid": "u"}), ("7", {"uid": "u", "resourceVersion": "7"})])
def test_only_the_object_that_was_seen_is_deleted(version: str | None, expected: dict[str, str]) -> None:
    server = Server([Answer(b"{}")])
    server.ask(lambda kube: kube.delete(POD, "default", "pod", "u", version))
    (asked,) = server.asked
    assert asked["body"] == {"preconditions": expected, "propagationPolicy": "Background"}


def test_deleting_what_may_not_be_deleted_is_refused() -> None:
    with pytest.raises(RefusedError):
        Server([failure(403, told("no"))]).ask(lambda kube: kube.delete(POD, "default", "pod", "uid"))


def page(names: list[str] | None, more: str | None) -> Answer:
    items = [{"metadata": {"uid": name}} for name in names] if names else None
    return Answer(json.dumps({"items": items, "metadata": {"continue": more} if more is not None else {}}).encode())


def test_pages_are_joined_by_their_tokens() -> None:
    server = Server([page(["a", "b"], "next"), page(["c"], "last"), page(None, None)])

    async def uids(kube: Kube) -> list[str]:
        return [item["metadata"]["uid"] async for item in kube.objects(POD, None, "grpo.dev/run")]

    assert server.ask(uids) == ["a", "b", "c"]
    assert [asked["_continue"] for asked in server.asked] == [None, "next", "last"]
    assert {asked["label_selector"] for asked in server.asked} == {"grpo.dev/run"}


def test_an_empty_token_is_the_end() -> None:
    assert Server([page(["a"], "")]).ask(lambda kube: kube.uids(POD, None, None)) == {"a"}


def test_a_token_that_has_expired_is_an_error_and_not_half_a_list() -> None:
    server = Server([page(["a"], "old"), failure(410, told("expired"))])
    with pytest.raises(ApiError, match="expired"):
        server.ask(lambda kube: kube.uids(POD, None, None))


LOGS: dict[str, tuple[list[Answer | Exception], list[str], list[str]]] = {
    "it has spoken": ([Answer(b"one\ntwo\n")], ["one", "two"], ["false"]),
    "it was started again and is silent": ([Answer(b""), Answer(b"last words\n")], ["last words"], ["false", "true"]),
    "it is gone": ([failure(404, told("gone")), Answer(b"last words\n")], ["last words"], ["false", "true"]),
    "its node does not answer": ([failure(500), failure(500)], [], ["false", "true"]),
    "it draws bars": ([Answer(b"0%\r" * 10_000 + b"100%\n")], ["100%"], ["false"]),
}


@pytest.mark.parametrize("case", LOGS)
def test_the_log_is_that_of_the_container_or_of_the_one_before(case: str) -> None:
    answers, lines, previous = LOGS[case]
    server = Server(list(answers))
    assert server.ask(lambda kube: kube.log_tail("default", "pod", "learner", 20)) == lines
    queries = [dict(asked["query_params"]) for asked in server.asked]
    assert [query["previous"] for query in queries] == previous
    assert {(query["container"], query["tailLines"]) for query in queries} == {("learner", 20)}
    assert {asked["_request_timeout"] for asked in server.asked} == {5.0}  # the failure is told after it
