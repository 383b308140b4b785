"""Rewards that a service gives over HTTP: what it is asked, what its answers mean, and which trouble is met with another try."""

import os
import socket
from typing import Any

import pytest

from grpo_contract.failure import UserError
from grpo_contract.rewards import label_of
from grpo_trainer import preflight
from grpo_trainer.rewards import over_http, registry
from grpo_trainer.rewards.processes.remote import by_process
from grpo_trainer.rewards.score import FAILED
from trainer.scoring import Scored, reward_processes
from trainer.scoring_service import Answer, Service, running, scores

DEADLINE_S = 4.0
SLOW_S = 10.0
"""A deadline that leaves a busy machine a second between the end of the last try and that of the process."""
COMPLETIONS = ["a", "b"]


def asked(service: Service, **options: Any) -> tuple[list[float | None], dict[tuple[str, str], tuple[int, str]]]:
    """The scores of COMPLETIONS, and {reason: (completions, why)}."""
    with Scored(f"http://{service.host}/score", **options) as scored:
        found = scored.scores(COMPLETIONS)
        assert found.keys() == {f"{service.host}/score"}, "the label of metrics"
        return found[f"{service.host}/score"], scored.errors()


def test_scores_arrive_and_null_is_no_reward() -> None:
    with running(scores(0.25, None)) as service:
        assert asked(service) == ([0.25, None], {})
        assert len(service.requests) == 1


def test_what_it_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole batch, as a function is called, but for what only training has."""
    monkeypatch.setenv("GRPO_REWARD_TOKEN", "secret\n")
    prompts = [[{"role": "user", "content": "1 + 1?"}], [{"role": "user", "content": "2 + 2?"}]]
    completions = [[{"role": "assistant", "content": text}] for text in ("two", "vier")]
    with running(scores(1, 0)) as service, Scored(f"http://{service.host}/score") as scored:
        assert scored.processes.required_columns() == {f"http://{service.host}/score": ()}
        assert scored.scores(completions, prompts=prompts, solution=["2", "4"]) == {f"{service.host}/score": [1.0, 0.0]}
    ((path, headers, body),) = service.requests
    assert path == "/score"
    assert headers["Content-Type"] == "application/json"
    assert headers["Authorization"] == "Bearer secret"
    assert body == {"prompts": prompts, "completions": completions, "solution": ["2", "4"]}


def test_without_a_token_none_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GRPO_REWARD_TOKEN", raising=False)
    with running(scores(1, 0)) as service:
        asked(service)
    assert "Authorization" not in service.requests[0][1]


@pytest.mark.parametrize(
    "trouble", [Answer(500), Answer(503), Answer(429), Answer(hangs_up=True)], ids=["500", "503", "429", "no answer"]
)
def test_trouble_that_may_pass_is_met_with_another_try(trouble: Answer) -> None:
    with running(trouble, trouble, scores(1, 0)) as service:
        assert asked(service) == ([1.0, 0.0], {})
        assert len(service.requests) == 3


def test_trouble_that_lasts_is_told_before_time_is_up() -> None:
    with running(Answer(500, {"detail": "no  GPU"})) as service:
        found, errors = asked(service, timeout_s=DEADLINE_S)
        assert found == [FAILED, FAILED]
        tries = len(service.requests)
        why = f'it answered 500 Internal Server Error {{"detail": "no GPU"}} (try {tries})'
        assert errors == {(f"{service.host}/score", "ServiceError"): (2, why)}
        assert 3 <= tries <= 8


REFUSED: dict[str, tuple[Answer, str, str]] = {
    # answer, reason, why
    "another status": (Answer(401, b"who?"), "ServiceError", "it answered 401 Unauthorized who? (try 1)"),
    "another place": (
        Answer(307, b"", headers={"Location": "/elsewhere"}), "ServiceError", "it answered 307 Temporary Redirect (try 1)",
    ),
    "too few": (scores(1.0), "WrongLength", "it returned 1 scores for 2 completions"),
    "no JSON": (Answer(content=b"fine"), "Exception", 'its answer has no "scores", a list of numbers and nulls: fine'),
    "a list": (
        Answer(content=[1, 2]), "Exception", 'its answer has no "scores", a list of numbers and nulls: [1, 2]',
    ),
    "words": (
        scores("good", 1), "Exception",
        'its answer has no "scores", a list of numbers and nulls: {"scores": ["good", 1]}',
    ),
    "a verdict": (
        scores(True, False), "Exception",
        'its answer has no "scores", a list of numbers and nulls: {"scores": [true, false]}',
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_answers_without_a_score_for_each_are_not_asked_for_again(case: str) -> None:
    answer, reason, why = REFUSED[case]
    with running(answer) as service:
        assert asked(service) == ([FAILED, FAILED], {(f"{service.host}/score", reason): (2, why)})
        assert len(service.requests) == 1


def test_a_number_that_is_infinite_is_a_failure_of_its_completion() -> None:
    with running(Answer(content=b'{"scores": [Infinity, 1]}')) as service:
        found, errors = asked(service)
        assert found == [FAILED, 1.0]
        assert errors == {(f"{service.host}/score", "Failed"): (1, "it returned inf")}


def test_a_slow_service_is_out_of_time_and_its_process_lives_on() -> None:
    why = "it did not answer within spec.rewards.timeoutSeconds (try 1)"
    answers = scores(1, 0, after_s=3 * SLOW_S), scores(1, 0)
    with running(*answers) as service, Scored(f"http://{service.host}/score", timeout_s=SLOW_S) as scored:
        scored.wait_until_ready()
        before = reward_processes(os.getpid())
        assert scored.scores(COMPLETIONS) == {f"{service.host}/score": [FAILED, FAILED]}
        assert scored.errors() == {(f"{service.host}/score", "Timeout"): (2, why)}
        assert scored.seconds < SLOW_S
        assert scored.scores(COMPLETIONS) == {f"{service.host}/score": [1.0, 0.0]}
        assert reward_processes(os.getpid()) == before


def test_a_service_that_is_not_there() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{taken.getsockname()[1]}"
        with Scored(f"http://{host}/score", timeout_s=1) as scored:
            assert scored.scores(COMPLETIONS) == {f"{host}/score": [FAILED, FAILED]}
            ((key, (count, why)),) = scored.errors().items()
    assert (key, count) == ((f"{host}/score", "ServiceError"), 2)
    assert why.startswith("no connection, ConnectionRefusedError: [Errno 111] Connection refused (try ")


def test_columns_that_json_has_no_word_for() -> None:
    with running(scores(1, 0)) as service, Scored(f"http://{service.host}/score") as scored:
        assert scored.scores(COMPLETIONS, picture=[b"1", b"2"]) == {f"{service.host}/score": [FAILED, FAILED]}
        ((key, (_, why)),) = scored.errors().items()
        assert key == (f"{service.host}/score", "Exception")
        assert why.startswith("TypeError: Object of type bytes is not JSON serializable")
        assert service.requests == []


def test_services_are_asked_side_by_side() -> None:
    with running(scores(1, 0, after_s=1)) as one, running(scores(0, 1, after_s=1)) as other:
        names = [f"http://{one.host}/score", f"http://{other.host}/score", "format"]
        assert by_process(names) == [[name] for name in names]
        with Scored(*names) as scored:
            found = scored.scores(COMPLETIONS)
    assert found == {f"{one.host}/score": [1.0, 0.0], f"{other.host}/score": [0.0, 1.0], "format": [0.0, 0.0]}


def test_pauses_grow_and_differ() -> None:
    assert all(0.25 <= over_http.pause_after(1) <= 0.5 for _ in range(20))
    assert all(1.0 <= over_http.pause_after(3) <= 2.0 for _ in range(20))
    assert all(5.0 <= over_http.pause_after(tries) <= 10.0 for tries in (6, 50, 5000))
    assert len({over_http.pause_after(1) for _ in range(20)}) > 1


GOOD = [
    "https://judge.example/score",
    "http://judge.team.svc:8000/score",
    "http://10.0.0.1",
    "https://a.b/v1/x-y_z%20/",
]
WITHOUT_REWARDS = {"model_name_or_path": "org/model", "dataset_name": "org/data"}
# {URL: what a message repeats of it}
BAD = {
    "https://me:key@judge.example": "https:...",
    "http://me:k/y@judge": "http:...",
    "http://judge/score?key=1": "http:...",
    "https://judge/#a": "https:...",
    "http:/me:key@judge": "http:...",
    "http:/judge": "http:/judge",
    "http://": "http://",
    "http://a b": "http://a b",
}


def test_urls_are_told_by_host_and_path() -> None:
    registry.check_names(GOOD)
    assert [label_of(url) for url in GOOD] == [
        "judge.example/score",
        "judge.team.svc:8000/score",
        "10.0.0.1",
        "a.b/v1/x-y_z%20/",
    ]
    assert label_of("my_rewards:length") == "my_rewards:length"


@pytest.mark.parametrize("url", BAD)
def test_no_label_and_no_message_holds_a_secret(url: str) -> None:
    """Such a URL is refused, wherever it came from: nothing of it may get into metrics and the status."""
    assert label_of(url) == "no URL"
    with pytest.raises(UserError) as caught:
        preflight.check(WITHOUT_REWARDS | {"reward_funcs": [url, url]})
    assert not any(secret in str(caught.value) for secret in ("key", "k/y", "me:"))


def test_what_is_no_url_by_its_scheme_keeps_its_secret_too() -> None:
    with pytest.raises(UserError) as caught:
        registry.check_names(["ftp://me:key@judge"])
    assert str(caught.value).startswith("spec.recipe.reward_funcs: 'ftp:...' is no reward function; ")


@pytest.mark.parametrize(("url", "told"), BAD.items())
def test_urls_that_are_refused(url: str, told: str) -> None:
    with pytest.raises(UserError) as caught:
        registry.check_names([url])
    assert caught.value.failure.reason == "RewardNotFound"
    assert str(caught.value) == (
        f"spec.recipe.reward_funcs: {told!r} is no URL of a remote reward; write it as https://host/path or "
        "http://host:port/path, without user, query and fragment."
    )


def test_two_urls_of_one_label_are_refused() -> None:
    with pytest.raises(UserError, match=r"^spec\.recipe\.reward_funcs holds 'http://judge/x' more than once; "):
        preflight.check_listed_once(["http://judge/x", "format", "https://judge/x"])
