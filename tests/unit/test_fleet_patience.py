"""A generator that hangs is not waited for as long as what it was asked for may take."""

import threading
from collections.abc import Iterator
from concurrent.futures import Future
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from grpo_contract.config import Deadlines
from grpo_contract.network import GENERATOR_READY_PATH
from grpo_trainer.fleet import patience as patience_module
from grpo_trainer.fleet.background import in_background
from grpo_trainer.fleet.errors import GeneratorLost
from grpo_trainer.fleet.generator import Generator
from grpo_trainer.fleet.patience import MOST_MISSED, Patience
from grpo_trainer.fleet.weights import WeightServer
from harness.waiting import wait_for

SOON_S = 10
EVERY_S = 0.05
HANGS = "it hangs, and answers nothing else either"


@pytest.fixture(autouse=True)
def _ask_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience_module, "ASKED_EVERY_S", EVERY_S)


class Asked:
    """Answers as the next of `answers` says, and then as the last one does."""

    def __init__(self, *answers: bool) -> None:
        self.answers = list(answers)
        self.count = 0

    def __call__(self) -> bool:
        self.count += 1
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def test_one_that_answers_nothing_is_lost() -> None:
    asked = Asked(False)
    with pytest.raises(GeneratorLost, match=f"/x: {HANGS}"):
        Patience(asked).wait_for(Future[None](), "/x")
    assert asked.count == MOST_MISSED


def test_one_that_misses_a_question_now_and_then_is_waited_for() -> None:
    asked, answer = Asked(False, True, False, True, False, True), Future[int]()
    waiting = in_background(Patience(asked).wait_for, answer, "/x")
    wait_for("many questions", lambda: asked.count > 6, SOON_S, 0.01)
    answer.set_result(7)
    assert waiting.result(SOON_S) == 7


def test_one_that_answers_and_takes_no_part_is_lost() -> None:
    asked, is_silent = Asked(True), Asked(False, False, True)
    with pytest.raises(GeneratorLost, match="/x: it answers other questions, and takes no part in this"):
        Patience(asked).wait_for(Future[None](), "/x", is_silent)
    assert is_silent.count == 3


def test_an_answer_is_taken_while_a_question_is_under_way() -> None:
    answer, has_asked = Future[int](), threading.Event()

    def ask() -> bool:
        has_asked.set()
        threading.Event().wait(60)
        return False

    waiting = in_background(Patience(ask).wait_for, answer, "/x")
    assert has_asked.wait(SOON_S)
    answer.set_result(7)
    assert waiting.result(SOON_S) == 7


def test_all_who_wait_share_the_questions() -> None:
    asked = Asked(False)
    patience = Patience(asked)
    waiting = [in_background(patience.wait_for, Future[None](), "/x") for _ in range(50)]
    for each in waiting:
        with pytest.raises(GeneratorLost, match=HANGS):
            each.result(SOON_S)
    assert asked.count <= 2 * MOST_MISSED


class HungServer(ThreadingHTTPServer):
    """Answers nothing but, if `is_alive`, that it is not ready."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), HungHandler)
        self.is_alive = False
        self.asked: list[str] = []
        self.was_left = threading.Event()
        """Nobody waits for the answer any more."""


class HungHandler(BaseHTTPRequestHandler):
    server: HungServer

    def do_POST(self) -> None:
        self.server.asked.append(self.path)
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.connection.recv(1) == b"":
            self.server.was_left.set()

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        if not self.server.is_alive:
            threading.Event().wait(60)
        self.send_error(503)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[HungServer]:
    with HungServer() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def generator(server: HungServer) -> Generator:
    return Generator(f"http://127.0.0.1:{server.server_port}", lambda: "token", Deadlines(control_s=0.1))


def test_completions_of_one_that_hangs(server: HungServer, generator: Generator) -> None:
    """They are not written when it goes on later."""
    with pytest.raises(GeneratorLost, match=f"/v1/completions: {HANGS}"):
        generator.complete([[1]], 1, {}, "weights-1")
    assert server.was_left.wait(SOON_S)


def test_weights_for_one_that_hangs(server: HungServer, generator: Generator) -> None:
    weights = WeightServer("127.0.0.1", 0, deadline_s=60)
    try:
        weights.publish([])
        with pytest.raises(GeneratorLost, match=f"/stage_weights: {HANGS}"):
            generator.update(weights)
    finally:
        weights.close()
    assert server.was_left.wait(SOON_S)


def test_one_that_is_not_ready_does_not_hang(server: HungServer, generator: Generator) -> None:
    server.is_alive = True
    completing = in_background(generator.complete, [[1]], 1, {}, "weights-1")
    wait_for("patience", lambda: server.asked.count(GENERATOR_READY_PATH) > 2 * MOST_MISSED, SOON_S, 0.01)
    assert not completing.done()
