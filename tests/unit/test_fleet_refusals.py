"""What a generator answers that is no completion: what the user is told of it."""

import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from grpo_contract.config import Deadlines
from grpo_contract.failure import UserError
from grpo_trainer.fleet import generator as generator_module
from grpo_trainer.fleet import roster as roster_module
from grpo_trainer.fleet.completion import Completion
from grpo_trainer.fleet.errors import GeneratorLost
from grpo_trainer.fleet.generator import MOST_REQUESTS, Generator
from grpo_trainer.fleet.observer import GeneratorState
from grpo_trainer.fleet.roster import Hold, Member, Roster
from grpo_trainer.fleet.weights import WeightServer
from trainer.recording_observer import RecordingObserver


class RefusingServer(ThreadingHTTPServer):
    """Gives one answer to everything."""

    request_queue_size = MOST_REQUESTS
    status = 400
    body = ""
    version: str | None = "version"
    """Of the weights that it says it computes with."""
    width: str | None = None
    is_leaving = False

    @staticmethod
    def on_completions() -> object:
        """What happens while it completes."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), RefusalHandler)


class RefusalHandler(BaseHTTPRequestHandler):
    server: RefusingServer

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/v1/completions":
            self.server.on_completions()
        self.do_GET()

    def do_GET(self) -> None:
        self.send_response(self.server.status)
        self.send_header("X-Grpo-Generator", "generator-1")
        if self.server.version is not None:
            self.send_header("X-Grpo-Weights", self.server.version)
        if self.server.width is not None:
            self.send_header("X-Grpo-Width", self.server.width)
        if self.server.is_leaving:
            self.send_header("X-Grpo-Leaving", "1")
        self.end_headers()
        self.wfile.write(self.server.body.encode())

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[RefusingServer]:
    with RefusingServer() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@dataclass
class OnlyOne:
    url: str

    def urls(self) -> list[str]:
        return [self.url]


def complete(server: RefusingServer) -> None:
    generator = Generator(f"http://127.0.0.1:{server.server_port}", lambda: "token", Deadlines())
    generator.complete([[1, 2, 3]], 2, {}, "version")


OTHER_ANSWERS = {
    # 200 and this: what is told of it
    "<html>\nWelcome</html>": "<html> Welcome</html>",
    "": "nothing",
    **{
        body: body
        for body in (
            "[]",
            "{}",
            '{"choices": null}',
            '{"choices": [{"text": "a"}, {"text": "b"}]}',
            '{"choices": [{"index": 0, "text": "a"}, {"index": 1, "text": "b"}]}',
        )
    },
}


@pytest.mark.parametrize("body", OTHER_ANSWERS)
def test_what_is_not_vllms_answer_is_a_lost_generator(server: RefusingServer, body: str) -> None:
    server.status, server.body = 200, body
    with pytest.raises(GeneratorLost) as caught:
        complete(server)
    assert str(caught.value) == f"/v1/completions: 200, but not what vLLM answers: {OTHER_ANSWERS[body]}"


@pytest.mark.parametrize(
    ("version", "words"),
    [
        (None, "/v1/completions: 200, but not what vLLM answers: {}"),
        ("default", "it holds weights default after a request that wanted version"),
    ],
)
def test_completions_of_weights_that_were_not_wanted_are_not_taken(
    server: RefusingServer, version: str | None, words: str
) -> None:
    server.status, server.body, server.version = 200, "{}", version
    with pytest.raises(GeneratorLost) as caught:
        complete(server)
    assert str(caught.value) == words


def test_who_does_not_say_how_much_it_writes_at_once_is_not_asked_to_write(server: RefusingServer) -> None:
    server.status, server.body = 200, '{"weight_version": "default"}'
    generator = Generator(f"http://127.0.0.1:{server.server_port}", lambda: "token", Deadlines())
    with pytest.raises(
        GeneratorLost, match=r'/weight_info: 200, but not what vLLM answers: {"weight_version": "default"}'
    ):
        generator.holds("default")
    server.width = "128"
    assert not generator.holds("version")
    assert generator.width == 128


def test_a_request_under_which_the_weights_were_given_again_is_lost(
    server: RefusingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The version at its end is the one that was wanted, but not all tokens need be sampled from it."""
    weights = WeightServer("127.0.0.1", 0, deadline_s=1)
    weights.publish([])
    generator = Generator(f"http://127.0.0.1:{server.server_port}", lambda: "token", Deadlines())
    choice = {"index": 0, "token_ids": [7], "logprobs": {"token_logprobs": [-1.0]}, "finish_reason": "stop"}
    answers = {"choices": [choice], "path": "/proc/1/fd/3"}
    server.status, server.body, server.version = 200, json.dumps(answers), weights.version
    assert generator.complete([[1]], 1, {}, weights.version) == [[Completion([7], [-1.0])]]
    monkeypatch.setattr(server, "on_completions", lambda: generator.update(weights))
    with pytest.raises(GeneratorLost, match="it was given its weights again during a request"):
        generator.complete([[1]], 1, {}, weights.version)
    weights.close()


def test_the_last_versions_of_a_spell_are_remembered(server: RefusingServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run makes more and more of them, and with nothing going wrong the spell does not end."""
    monkeypatch.setattr(generator_module, "SPELL_VERSIONS", 3)
    weights, versions = WeightServer("127.0.0.1", 0, deadline_s=1), []
    generator = Generator(f"http://127.0.0.1:{server.server_port}", lambda: "token", Deadlines())
    server.status, server.body = 200, json.dumps({"path": "/proc/1/fd/3"})
    weights.publish([])
    generator.update(weights)
    spell = generator.spell
    for _ in range(5):
        weights.publish([])
        versions.append(generator.update(weights).version)
    assert generator.spell is spell
    assert generator.spell == versions[-3:]
    weights.close()


def test_a_generator_that_leaves_says_so_on_each_answer(server: RefusingServer) -> None:
    """Until a pod that has its address now answers, which says what it holds."""
    generator = Generator(f"http://127.0.0.1:{server.server_port}", lambda: "token", Deadlines())
    server.status, server.body, server.is_leaving = 503, '{"error": {"message": "it is asked to end"}}', True
    with pytest.raises(GeneratorLost, match="/v1/completions: 503 it is asked to end") as caught:
        generator.complete([[1]], 1, {}, "version")
    assert caught.value.is_leaving
    assert generator.is_leaving
    server.status, server.body, server.is_leaving = 400, "", False
    with pytest.raises(UserError):  # an answer that was on its way before
        generator.complete([[1]], 1, {}, "version")
    assert generator.is_leaving
    server.status, server.body, server.width = 200, '{"weight_version": "default"}', "128"
    assert not generator.holds("version")
    assert not generator.is_leaving


def test_what_a_generator_that_leaves_is_writing_is_taken_when_it_is_gone(server: RefusingServer) -> None:
    """Neither its refusals nor a question that comes too late end the spell of weights that it writes under."""
    weights = WeightServer("127.0.0.1", 0, deadline_s=1)
    weights.publish([])
    url = f"http://127.0.0.1:{server.server_port}"
    generator = Generator(url, lambda: "token", Deadlines())
    generator.held_version, generator.is_leaving = weights.version, True
    roster = Roster(OnlyOne(url), weights, lambda _: generator, RecordingObserver())
    hold = Hold(weights.version, generator.spell)
    roster.lose(Member(generator), hold, GeneratorLost("it is asked to end", is_leaving=True))
    server.status, server.body = 500, "the engine has ended"
    with pytest.raises(GeneratorLost):
        generator.holds(weights.version)
    assert (generator.held_version, generator.spell) == (weights.version, hold.spell)
    assert generator.spell is hold.spell
    weights.close()


def test_all_requests_of_a_share_have_connections(
    server: RefusingServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    together = threading.Barrier(MOST_REQUESTS)
    monkeypatch.setattr(server, "on_completions", lambda: together.wait(timeout=5))
    generator = Generator(f"http://127.0.0.1:{server.server_port}", lambda: "token", Deadlines())
    server.status, server.body, server.version = 200, json.dumps({"choices": []}), "version-1"
    with ThreadPoolExecutor(MOST_REQUESTS) as pool:
        answers = [pool.submit(generator.complete, [], 1, {}, "version-1") for _ in range(MOST_REQUESTS)]
    assert [answer.result() for answer in answers] == [[]] * MOST_REQUESTS
    assert caplog.messages == []  # of urllib3, whose pool has 10 otherwise


def test_a_page_on_a_generators_port_is_told_and_asked_again_later(
    server: RefusingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(roster_module, "RETRY_S", (60.0,))
    server.status, server.body = 200, "x" * 1000
    weights, observer = WeightServer("127.0.0.1", 0, deadline_s=1), RecordingObserver()
    url = f"http://127.0.0.1:{server.server_port}"
    roster = Roster(OnlyOne(url), weights, lambda url: Generator(url, lambda: "token", Deadlines()), observer)
    roster.look_around()
    wait(roster.bringing_up(), timeout=5)
    assert roster.describe() == f"generator-1: /weight_info: 200, but not what vLLM answers: {'x' * 500}"
    roster.look_around()
    assert roster.bringing_up() == []
    assert observer.latest == {"generator-1": GeneratorState.LOST}
    weights.close()


def test_a_closed_port_is_told_from_a_server_that_hangs() -> None:
    with socket.create_server(("127.0.0.1", 0)) as hanging:
        port = hanging.getsockname()[1]
        generator = Generator(f"http://127.0.0.1:{port}", lambda: "token", Deadlines(control_s=0.2))
        with pytest.raises(GeneratorLost) as lost:
            generator.holds("version-1")
        assert not lost.value.is_down
    with pytest.raises(GeneratorLost) as lost:
        generator.holds("version-1")
    assert lost.value.is_down


def of_vllm(message: str) -> str:
    return json.dumps({"error": {"message": message, "type": "BadRequestError", "param": None, "code": 400}})


TOO_LONG = (
    "This model's maximum context length is 512 tokens. However, you requested 400 output tokens and your prompt "
    "contains 500 input tokens, for a total of 900 tokens. Please reduce the length of the input prompt or the number "
    "of requested output tokens."
)


@pytest.mark.parametrize(
    ("status", "body", "sentence"),
    [
        (
            400,
            of_vllm(TOO_LONG),
            "spec.recipe.vllm_max_model_length: a prompt of 500 tokens and a completion of 400 need 900, generators "
            "take 512; set it to at least 900, lower max_completion_length, or take so long prompts out of the data "
            "set.",
        ),
        (
            400,
            of_vllm("best_of must be at least n.\nSee the documentation."),
            "spec.recipe.generation_kwargs: generator generator-1 refuses a request for completions, best_of must be "
            "at least n; correct it, or the recipe's other keys of sampling.",
        ),
        (
            413,
            "<html>Request Entity Too Large</html>",
            "spec.recipe.generation_kwargs: generator generator-1 refuses a request for completions, <html>Request "
            "Entity Too Large</html>; correct it, or the recipe's other keys of sampling.",
        ),
    ],
)
def test_a_refused_request_is_one_sentence(server: RefusingServer, status: int, body: str, sentence: str) -> None:
    server.status, server.body = status, body
    with pytest.raises(UserError) as caught:
        complete(server)
    assert caught.value.failure.reason == "InvalidRecipe"
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (of_vllm("EngineCore encountered an issue."), "EngineCore encountered an issue."),
        ('{"detail": "x"}', '{"detail": "x"}'),
        ('{"error": "x"}', '{"error": "x"}'),
        ("[]", "[]"),
        ("x" * 1000, "x" * 500),
    ],
)
def test_what_a_broken_generator_says_is_told_without_its_wrapping(
    server: RefusingServer, body: str, words: str
) -> None:
    server.status, server.body = 500, body
    with pytest.raises(GeneratorLost) as caught:
        complete(server)
    assert str(caught.value) == f"/v1/completions: 500 {words}"
