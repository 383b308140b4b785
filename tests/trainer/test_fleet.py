"""The fleet over two real vLLM servers, one of which comes late, hangs and is killed."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from transformers import Qwen2ForCausalLM

from grpo_contract.config import Deadlines
from grpo_contract.failure import PodReason, UserError
from grpo_contract.network import UNSET_WEIGHT_VERSION
from grpo_trainer.fleet.fleet import Fleet
from grpo_trainer.fleet.generator import Generator
from grpo_trainer.fleet.observer import GeneratorState
from grpo_trainer.fleet.roster import Roster
from grpo_trainer.fleet.weights import WeightServer
from harness.waiting import wait_for
from trainer.collecting import collect
from trainer.published import IN_SYNC, PROMPTS, SAMPLING, TOKENIZER, logprob_difference, policy, publish, size_bytes
from trainer.recording_observer import RecordingObserver
from trainer.running_generator import TOKEN, RunningGenerator, requests_running, run_config

G = 4
TENSOR_PARALLEL = 2
HANG_S = 8.0
PATIENT = Deadlines(generate_s=60, weight_sync_s=30, control_s=120)
LONG = SAMPLING | {"max_tokens": 400, "ignore_eos": True}
"""Seconds of work for the tiny model, and no end before max_tokens."""
MANY_PROMPTS: list[list[int]] = TOKENIZER([f"prompt number {number}" for number in range(12)])["input_ids"]


class Newcomers:
    """Tensor parallel: two workers, each of which loads its part."""

    def __init__(self, folder: Path, model: Path) -> None:
        self._folder = folder
        self._config = run_config({"model_name_or_path": str(model)}, tensor_parallel_size=TENSOR_PARALLEL)
        self.running: RunningGenerator | None = None

    def get(self) -> RunningGenerator:
        """The one that runs, as new; another one when a test killed it."""
        if self.running is None or self.running.process.poll() is not None:
            self.running = RunningGenerator(self._folder, self._config, "generator-1")
            self.running.wait_until_it_answers()
        self.running.post("/update_weight_version", {"new_version": UNSET_WEIGHT_VERSION})
        assert not self.running.post("/update_weights", {}).ok  # which it is not ready after
        return self.running


@pytest.fixture(scope="module")
def newcomers(
    starting_generator: RunningGenerator, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Newcomers]:
    """The first one starts while the other generator does."""
    newcomers = Newcomers(tmp_path_factory.mktemp("newcomer"), tiny_model)
    yield newcomers
    if newcomers.running:
        newcomers.running.kill()


@pytest.fixture
def newcomer(newcomers: Newcomers) -> RunningGenerator:
    return newcomers.get()


@dataclass
class Learner:
    """What a learner has of the fleet, without its trainer."""

    fleet: Fleet
    weights: WeightServer
    observer: RecordingObserver
    urls_now: list[str]
    seed: int = 30

    def urls(self) -> list[str]:
        return self.urls_now

    def find(self, *generators: RunningGenerator) -> None:
        """As when they got an address; returns when they hold the newest weights."""
        self.urls_now += [generator.url for generator in generators]
        names = {generator.name for generator in generators}
        wait_for(f"{names} are in sync", lambda: self.in_sync() >= names, timeout_s=30)

    def learn(self) -> Qwen2ForCausalLM:
        """As after an optimizer step: another model, published."""
        self.seed += 1
        model = policy(self.seed)
        publish(model, self.weights)
        self.fleet.sync()
        return model

    def asks_again_patiently(self, lost: RunningGenerator) -> Future[None]:
        """Returns when it asks a lost generator in the background, and would do so for long."""
        member = self.fleet._roster._members[lost.url]
        member.generator._deadlines = PATIENT
        before = member.bringing_up

        def is_asked() -> bool:
            self.fleet.submit([], 1, SAMPLING)  # looks around
            return member.is_busy and member.bringing_up is not before

        wait_for(f"{lost.name} is asked again", is_asked, timeout_s=60)
        assert member.bringing_up is not None
        return member.bringing_up

    def in_sync(self) -> set[str]:
        self.fleet.submit([], 1, SAMPLING)  # looks around
        return {name for name, state in self.observer.latest.items() if state == GeneratorState.IN_SYNC}


@pytest.fixture
def learner() -> Iterator[Learner]:
    """It has published weights and knows no generator."""
    weights = WeightServer("127.0.0.1", 0, deadline_s=30)
    observer = RecordingObserver()
    deadlines = Deadlines(generate_s=60, weight_sync_s=30, control_s=HANG_S)
    learner = Learner(None, weights, observer, [])  # type: ignore[arg-type]
    roster = Roster(learner, weights, lambda url: Generator(url, lambda: TOKEN, deadlines), observer)
    learner.fleet = Fleet(roster, observer, generators_s=60)
    learner.learn()
    yield learner
    weights.close()


@pytest.fixture
def learner_of_two(learner: Learner, newcomer: RunningGenerator, generator: RunningGenerator) -> Learner:
    learner.find(generator, newcomer)
    return learner


def test_a_newcomer_gets_the_weights_before_its_first_prompt(
    learner: Learner, newcomer: RunningGenerator, generator: RunningGenerator
) -> None:
    first = policy(learner.seed)
    learner.find(generator)
    model = learner.learn()
    assert not newcomer.is_ready
    learner.find(newcomer)
    assert newcomer.is_ready
    assert learner.observer.synced_bytes == {
        generator.name: [size_bytes(first), size_bytes(model, first)],
        newcomer.name: [size_bytes(model)],  # once for all of its workers
    }
    assert learner.observer.completions == {}


def test_prompts_are_shared_and_answered_in_their_order(
    learner_of_two: Learner, generator: RunningGenerator, newcomer: RunningGenerator
) -> None:
    """Evenly while it is not known how fast generators are."""
    learner, names = learner_of_two, {generator.name, newcomer.name}
    num_tokens = 0
    for step in range(1, 4):
        model = learner.learn()
        groups = collect(learner.fleet, learner.fleet.submit(MANY_PROMPTS, G, SAMPLING))
        assert [len(group) for group in groups] == [G] * len(MANY_PROMPTS)
        assert logprob_difference(model, groups, MANY_PROMPTS) < IN_SYNC
        if step == 1:
            assert learner.observer.completions == dict.fromkeys(names, G * len(MANY_PROMPTS) / 2)
        num_tokens += sum(len(completion.token_ids) for group in groups for completion in group)
        assert learner.observer.completions.total() == step * G * len(MANY_PROMPTS)
        assert learner.observer.tokens.total() == num_tokens
        assert all(learner.observer.busy_s[name] > 0 for name in names)


def test_a_prompt_that_is_too_long_is_the_users_mistake(learner: Learner, generator: RunningGenerator) -> None:
    learner.find(generator)
    with pytest.raises(
        UserError, match=r"500 tokens and a completion of 400 need 900, generators take 512; set"
    ) as mistake:
        collect(learner.fleet, learner.fleet.submit([[5] * 500], G, LONG))
    assert mistake.value.failure.reason == PodReason.INVALID_RECIPE


def test_a_restarted_generator_is_given_the_weights_again(learner_of_two: Learner, newcomer: RunningGenerator) -> None:
    """Between two requests it came back with the base model, as its version says."""
    learner = learner_of_two
    model = learner.learn()
    newcomer.post("/update_weight_version", {"new_version": UNSET_WEIGHT_VERSION})
    synced_before = len(learner.observer.synced_bytes[newcomer.name])
    groups = collect(learner.fleet, learner.fleet.submit(MANY_PROMPTS, G, SAMPLING))
    assert logprob_difference(model, groups, MANY_PROMPTS) < IN_SYNC
    assert len(learner.observer.synced_bytes[newcomer.name]) == synced_before + 1


def test_a_hung_generator_is_lost_at_its_deadline_and_found_again(
    learner_of_two: Learner, generator: RunningGenerator, newcomer: RunningGenerator
) -> None:
    learner = learner_of_two
    os.killpg(newcomer.process.pid, signal.SIGSTOP)
    try:
        started = time.monotonic()
        model = learner.learn()
        groups = collect(learner.fleet, learner.fleet.submit(PROMPTS, G, SAMPLING))
        assert HANG_S <= time.monotonic() - started < 4 * HANG_S
        assert learner.observer.latest[newcomer.name] == GeneratorState.LOST
        assert logprob_difference(model, groups) < IN_SYNC
        asked_again = learner.asks_again_patiently(newcomer)
        learner.learn()
        collect(learner.fleet, learner.fleet.submit(PROMPTS, G, SAMPLING))
        assert not asked_again.done()  # which neither of them waited for
    finally:
        os.killpg(newcomer.process.pid, signal.SIGCONT)
    wait_for("it is found again", lambda: learner.in_sync() == {generator.name, newcomer.name}, timeout_s=60)


def test_a_generator_killed_in_the_middle_of_a_request_costs_no_group(
    learner_of_two: Learner, generator: RunningGenerator, newcomer: RunningGenerator
) -> None:
    learner = learner_of_two
    model = learner.learn()
    tickets = learner.fleet.submit(MANY_PROMPTS, G, LONG)
    collected = threading.Event()

    def kill_while_it_works() -> bool:
        """Whether it was in time."""
        wait_for("it works", lambda: requests_running(newcomer) > 0, timeout_s=30, interval_s=0.02)
        in_time = not collected.is_set()
        newcomer.kill()
        return in_time

    with ThreadPoolExecutor(1) as pool:
        killing = pool.submit(kill_while_it_works)
        groups = collect(learner.fleet, tickets)
        collected.set()
        assert killing.result()

    assert [len(completion.token_ids) for group in groups for completion in group] == [400] * G * len(MANY_PROMPTS)
    assert logprob_difference(model, groups, MANY_PROMPTS) < IN_SYNC
    assert learner.observer.groups_failed_over == len(MANY_PROMPTS) / 2
    assert learner.observer.completions == {generator.name: G * len(MANY_PROMPTS)}

    model = learner.learn()  # the run goes on with the other
    groups = collect(learner.fleet, learner.fleet.submit(PROMPTS, G, SAMPLING))
    assert logprob_difference(model, groups) < IN_SYNC
    assert learner.in_sync() == {generator.name}
