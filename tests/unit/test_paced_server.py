"""The server that takes a generator's place in benchmarks, as the learner's own client meets it."""

import threading
import time
from collections.abc import Iterator
from math import log

import pytest
import requests

from grpo_contract.config import Deadlines
from grpo_contract.weights import STAGE_PATH, TensorInfo
from grpo_trainer.fleet.generator import Generator
from grpo_trainer.fleet.weights import WeightServer, WeightTensor
from harness.daemons import free_port
from perf.paced_process import running_paced_server
from perf.paced_server import completion
from perf.pacing import Pace

PACE = Pace(seconds_per_token=0.05, slots=4, vocabulary=100)
PROMPTS = [[5, 6, 7], [8, 9]]
BATCH_S = 0.5
"""Of 10 tokens."""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with running_paced_server("127.0.0.1", PACE, free_port()) as url:
        yield url


@pytest.fixture
def weights() -> Iterator[WeightServer]:
    server = WeightServer("127.0.0.1", 0, 10)
    tensor = WeightTensor(TensorInfo(name="w", dtype="uint8", shape=(1000,)), memoryview(bytes(1000)))
    server.publish([tensor])
    yield server
    server.close()


@pytest.fixture
def generator(url: str) -> Generator:
    return Generator(url, lambda: "token", Deadlines())


def test_it_pulls_what_it_is_offered_and_says_so(generator: Generator, weights: WeightServer) -> None:
    assert not generator.holds(weights.version)
    update = generator.update(weights)
    assert (update.version, update.size_bytes) == (weights.version, 1000)
    assert generator.holds(weights.version)


def test_two_batches_may_be_under_way_together(generator: Generator, weights: WeightServer) -> None:
    """Of as many completions as there are slots: learners that look ahead are measured with it."""
    assert not generator.holds(weights.version)
    assert generator.width == 1_000_000


def test_completions_are_what_their_prompts_make_them(generator: Generator, weights: WeightServer) -> None:
    version = generator.update(weights).version
    groups = generator.complete(PROMPTS, 2, {"max_tokens": 10, "logprobs": 0}, version)
    expected = [[completion(prompt, place, 10, 100)["token_ids"] for place in range(2)] for prompt in PROMPTS]
    assert [[written.token_ids for written in group] for group in groups] == expected
    assert len({tuple(tokens) for group in expected for tokens in group}) == 4
    assert all(3 <= token < 100 for group in expected for tokens in group for token in tokens)
    assert {logprob for group in groups for written in group for logprob in written.logprobs} == {-log(100)}


def test_a_batch_takes_its_time(generator: Generator, weights: WeightServer) -> None:
    version = generator.update(weights).version
    started = time.monotonic()
    generator.complete(PROMPTS, 2, {"max_tokens": 10}, version)
    assert time.monotonic() - started >= BATCH_S


def test_nothing_is_written_while_it_is_paused(generator: Generator, weights: WeightServer, url: str) -> None:
    version = generator.update(weights).version
    ended: list[float] = []

    def complete() -> None:
        generator.complete(PROMPTS, 2, {"max_tokens": 10}, version)
        ended.append(time.monotonic())

    started = time.monotonic()
    request = threading.Thread(target=complete)
    request.start()
    requests.post(url + "/pause?mode=keep", timeout=5)
    time.sleep(BATCH_S)
    assert not ended
    requests.post(url + "/resume", timeout=5)
    request.join()
    assert ended[0] - started >= 2 * BATCH_S


def test_a_pull_that_brings_nothing_has_failed(weights: WeightServer, url: str) -> None:
    with weights.offering() as offering:
        offer = offering.offer.model_dump(mode="json") | {"token": "another"}
        answer = requests.post(url + STAGE_PATH, json=offer, timeout=5)
    assert (answer.status_code, answer.json()) == (500, {"error": {"message": "the learner sent nothing"}})


def test_who_hangs_up_leaves_the_pace_to_others(generator: Generator, weights: WeightServer, url: str) -> None:
    version = generator.update(weights).version
    with pytest.raises(requests.ReadTimeout):
        body = {"prompt": PROMPTS, "n": 100, "max_tokens": 10_000}
        requests.post(url + "/v1/completions", json=body, timeout=0.3)
    started = time.monotonic()
    generator.complete(PROMPTS, 2, {"max_tokens": 10}, version)
    assert time.monotonic() - started < 50 * BATCH_S  # which they would take beside the others
