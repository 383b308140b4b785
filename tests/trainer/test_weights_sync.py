"""A real vLLM server holds exactly the weights that it was given, whatever went wrong before."""

import contextlib
import math
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from unittest.mock import patch

import pytest
import torch
from transformers import Qwen2ForCausalLM

from grpo_contract.config import Deadlines
from grpo_contract.network import UNSET_WEIGHT_VERSION
from grpo_contract.weights import StagedWeights
from grpo_generator.staging import STAGER
from grpo_trainer.fleet import weights as fleet_weights
from grpo_trainer.fleet.background import in_background
from grpo_trainer.fleet.errors import GeneratorLost
from grpo_trainer.fleet.generator import Generator
from grpo_trainer.fleet.weights import WeightServer, WeightTensor
from harness.waiting import wait_for
from trainer.broken_senders import (
    AbsentLearner,
    BrokenSender,
    Send,
    cut_in,
    encode,
    flip_a_bit_in,
    hang_up,
    send_too_much,
)
from trainer.published import (
    IN_SYNC,
    OUT_OF_SYNC,
    PROMPTS,
    SAMPLING,
    differences,
    logprob_difference,
    policy,
    publish,
    size_bytes,
)
from trainer.running_generator import RunningGenerator, requests_running

G = 2
VLLM_WIDTH_ON_CPUS = 128
"""Its default for a server, of one process."""
BEGUN_S = 60.0
GREEDY = SAMPLING | {"temperature": 0.0}
Q_PROJ, K_PROJ, LAST = 1, 3, 24
"""Places in the stream: q_proj and k_proj are loaded into one layer of vLLM."""


@pytest.fixture
def weights() -> Iterator[WeightServer]:
    server = WeightServer("127.0.0.1", 0, deadline_s=20)
    yield server
    server.close()


@pytest.fixture
def client(generator: RunningGenerator) -> Generator:
    return Generator(generator.url, lambda: generator.token, Deadlines(generate_s=120, weight_sync_s=60))


def difference(client: Generator, model: Qwen2ForCausalLM, version: str) -> float:
    return logprob_difference(model, client.complete(PROMPTS, G, SAMPLING, version))


def test_log_probabilities_equal_those_of_transformers_after_each_update(
    client: Generator, generator: RunningGenerator, weights: WeightServer
) -> None:
    before = None
    for seed in (11, 12, 13):
        model = policy(seed)
        publish(model, weights)
        assert not client.holds(weights.version)
        update = client.update(weights)
        assert client.holds(weights.version)
        assert (update.version, update.size_bytes) == (weights.version, size_bytes(model, before))
        assert 0 < update.pause_s < update.seconds
        assert difference(client, model, weights.version) < IN_SYNC
        before = model
    assert client.name == generator.name


def test_a_generator_says_how_many_sequences_it_writes_at_once(client: Generator) -> None:
    assert client.width == math.inf
    assert not client.holds("version")
    assert client.width == VLLM_WIDTH_ON_CPUS


@pytest.mark.parametrize("changed", ["embed_tokens", "layers.1.mlp", "self_attn.k_proj", "model.norm"])
def test_a_change_of_one_part_reaches_the_generator(client: Generator, weights: WeightServer, changed: str) -> None:
    """embed_tokens is the output head as well; vLLM's CPU backend computes it with a packed copy of its own."""
    model = policy(14)
    publish(model, weights)
    client.update(weights)
    before = client.complete(PROMPTS, G, SAMPLING, weights.version)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if changed in name:
                parameter.mul_(1.3)
    assert logprob_difference(model, before) > OUT_OF_SYNC
    publish(model, weights)
    client.update(weights)
    assert difference(client, model, weights.version) < IN_SYNC


def test_a_broken_sync_is_seen(client: Generator, weights: WeightServer) -> None:
    """The learner goes on to learn, the generator is told the new version without its weights."""
    model = policy(15)
    publish(model, weights)
    client.update(weights)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.01 * torch.randn_like(parameter))
    assert difference(client, model, weights.version) > OUT_OF_SYNC


@pytest.mark.parametrize(
    ("send", "complaint"),
    [
        (hang_up, "the stream ended"),
        (cut_in(0), "the stream ended"),
        (cut_in(Q_PROJ), "the stream ended"),
        (cut_in(K_PROJ), "the stream ended"),
        (cut_in(LAST), "the stream ended"),
        (flip_a_bit_in(K_PROJ), "the checksum of model.layers.0.self_attn.k_proj.weight does not match"),
        (send_too_much, "the stream is longer than its offer"),
    ],
)
def test_a_broken_stream_leaves_the_old_weights_and_the_next_one_brings_all(
    client: Generator, generator: RunningGenerator, weights: WeightServer, send: Send, complaint: str
) -> None:
    old = policy(18)
    publish(old, weights)
    old_version = client.update(weights).version
    assert generator.is_ready
    model = policy(19)
    publish(model, weights)
    with pytest.raises(GeneratorLost, match=complaint):
        client.update(BrokenSender(weights, send))
    assert client.held_version is None
    assert generator.is_ready
    assert difference(client, old, old_version) < IN_SYNC
    assert not client.holds(weights.version)
    assert client.update(weights).size_bytes == size_bytes(model)
    assert generator.is_ready
    assert difference(client, model, weights.version) < IN_SYNC


@pytest.mark.parametrize("broken", [0, Q_PROJ, K_PROJ, LAST])
def test_a_swap_that_breaks_leaves_a_model_that_runs_and_the_next_one_is_loaded_completely(
    client: Generator, generator: RunningGenerator, weights: WeightServer, broken: int
) -> None:
    publish(policy(25), weights)
    client.update(weights)
    model = policy(26)
    publish(model, weights)

    def break_one(staged: StagedWeights) -> StagedWeights:
        tensors = list(staged.tensors)
        tensors[broken] = tensors[broken].model_copy(update={"dtype": "float33"})
        return staged.model_copy(update={"tensors": tuple(tensors)})

    with spoilt(client, break_one), pytest.raises(GeneratorLost, match="has the unknown dtype float33"):
        client.update(weights)
    assert client.held_version is None
    assert not generator.is_ready
    assert not client.holds(weights.version)
    assert len(client._completions({"prompt": PROMPTS, "n": G, **SAMPLING}).json()["choices"]) == G * len(PROMPTS)
    assert client.update(weights).size_bytes == 0  # it has been staged
    assert generator.is_ready
    assert difference(client, model, weights.version) < IN_SYNC


def test_weights_of_another_version_are_not_loaded(client: Generator, weights: WeightServer) -> None:
    """As by an update of a learner that is dead, after the next one has staged its own."""
    publish(policy(27), weights)

    def of_another(staged: StagedWeights) -> StagedWeights:
        return staged.model_copy(update={"version": "another-1"})

    complaint = f"the weights in memory are {weights.version}, not another-1"
    with spoilt(client, of_another), pytest.raises(GeneratorLost, match=complaint):
        client.update(weights)
    assert client.update(weights).version == weights.version


def test_only_what_changed_travels_and_arrives_bit_by_bit(client: Generator, weights: WeightServer) -> None:
    model = policy(28)
    publish(model, weights)
    client.update(weights)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.view(-1)[::50] += 0.3
    publish(model, weights)
    update = client.update(weights)
    changes = sum(-(-parameter.numel() // 50) for parameter in model.parameters())
    assert update.size_bytes == changes * (1 + 4)  # a gap and a float32
    assert difference(client, model, weights.version) < IN_SYNC
    fresh = WeightServer("127.0.0.1", 0, deadline_s=20)  # brings all of it
    publish(model, fresh)
    before = client.complete(PROMPTS, 1, GREEDY, weights.version)
    assert client.update(fresh).size_bytes == size_bytes(model)
    assert client.complete(PROMPTS, 1, GREEDY, fresh.version) == before
    fresh.close()


def test_completions_are_written_while_weights_come(client: Generator, weights: WeightServer) -> None:
    """The sender finishes only when they have been written; and they are of the old weights to the last token."""
    old = policy(29)
    publish(old, weights)
    old_version = client.update(weights).version
    model = policy(30)
    publish(model, weights)
    half_sent, written = threading.Event(), threading.Event()

    def send_slowly(connection: socket.socket, tensors: list[WeightTensor]) -> None:
        stream = b"".join(encode(tensor) for tensor in tensors)
        connection.sendall(stream[: len(stream) // 2])
        half_sent.set()
        assert written.wait(60)
        connection.sendall(stream[len(stream) // 2 :])

    updating = in_background(client.update, BrokenSender(weights, send_slowly))
    assert half_sent.wait(60)
    assert client.holds(old_version)
    assert difference(client, old, old_version) < IN_SYNC
    written.set()
    update = updating.result(timeout=60)
    assert difference(client, model, update.version) < IN_SYNC


def test_a_process_of_the_mirror_that_ends_costs_the_next_update_all_bytes(
    client: Generator, generator: RunningGenerator, weights: WeightServer
) -> None:
    publish(policy(31), weights)
    client.update(weights)
    (stager,) = stagers(generator)
    os.kill(stager, signal.SIGKILL)
    model = policy(32)
    publish(model, weights)
    wait_for("its end", lambda: not stagers(generator), timeout_s=20)
    assert client.update(weights).size_bytes == size_bytes(model)
    assert difference(client, model, weights.version) < IN_SYNC


def test_a_process_of_the_mirror_that_hangs_is_not_waited_for_and_the_next_offer_ends_it(
    client: Generator, generator: RunningGenerator, weights: WeightServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server goes on to answer whether it is there."""
    publish(policy(34), weights)
    client.update(weights)
    (stager,) = stagers(generator)
    os.kill(stager, signal.SIGSTOP)
    publish(policy(35), weights)
    monkeypatch.setattr(fleet_weights, "SILENCE_S", 1.0)
    with pytest.raises(GeneratorLost, match="/stage_weights: it answers other questions, and takes no part in this"):
        client.update(weights)
    monkeypatch.undo()
    assert client.update(weights).version == weights.version
    assert stagers(generator) != [stager]


def test_an_offer_ends_the_one_before(client: Generator, weights: WeightServer) -> None:
    """Of a learner that is gone: its stream would hang until its deadline."""
    publish(policy(33), weights)
    hangs = threading.Event()

    def hang(connection: socket.socket, _: list[WeightTensor]) -> None:
        hangs.set()
        connection.settimeout(60)
        connection.recv(1)

    hanging = in_background(client.update, BrokenSender(weights, hang))
    assert hangs.wait(60)
    assert client.update(weights).version == weights.version
    with pytest.raises(GeneratorLost, match="the process that fetches weights ended with code -9"):
        hanging.result(timeout=60)


def stagers(generator: RunningGenerator) -> list[int]:
    """The generator's processes that keep a mirror."""
    listed = subprocess.run(["ps", "-ww", "-eo", "pid=,ppid=,args="], check=True, capture_output=True, text=True).stdout
    parents: dict[int, int] = {}
    commands: dict[int, str] = {}
    for line in listed.splitlines():
        pid, parent, command = line.split(maxsplit=2)
        parents[int(pid)], commands[int(pid)] = int(parent), command

    def is_of_generator(pid: int) -> bool:
        return pid == generator.process.pid or (pid in parents and is_of_generator(parents[pid]))

    return [pid for pid, command in commands.items() if STAGER in command and is_of_generator(pid)]


@contextlib.contextmanager
def spoilt(client: Generator, spoil: Callable[[StagedWeights], StagedWeights]) -> Iterator[None]:
    """What the generator is told of its staged weights is not what it staged."""
    stage = client._updating.stage
    with patch.object(client._updating, "stage", lambda offer: spoil(stage(offer))):
        yield


def test_an_unreachable_learner_is_named(client: Generator, weights: WeightServer) -> None:
    publish(policy(20), weights)
    with pytest.raises(GeneratorLost, match="Connection refused"):
        client.update(AbsentLearner(weights))


def test_an_update_that_a_dead_learner_left_open_is_no_obstacle(
    client: Generator, generator: RunningGenerator, weights: WeightServer
) -> None:
    for path in ("/pause?mode=keep", "/start_weight_update"):
        assert generator.post(path).ok
    model = policy(21)
    publish(model, weights)
    client.update(weights)
    assert difference(client, model, weights.version) < IN_SYNC


def test_a_restart_is_recognized_before_and_after_use(
    client: Generator, generator: RunningGenerator, weights: WeightServer
) -> None:
    """A fresh server reports the version "default" and holds the base model, as here."""
    publish(policy(22), weights)
    version = client.update(weights).version
    generator.post("/update_weight_version", {"new_version": UNSET_WEIGHT_VERSION})
    with pytest.raises(GeneratorLost, match=f"it holds weights default after a request that wanted {version}"):
        client.complete(PROMPTS, G, SAMPLING, version)
    assert not client.holds(version)


def test_weights_of_another_learner_are_not_mistaken_for_ours(client: Generator, weights: WeightServer) -> None:
    other = WeightServer("127.0.0.1", 0, deadline_s=20)
    for source in (weights, other):
        publish(policy(23), source)
    client.update(other)
    other.close()
    assert not client.holds(weights.version)


def test_what_is_being_written_goes_on_with_newer_weights(
    client: Generator, generator: RunningGenerator, weights: WeightServer
) -> None:
    """Each completion begins as the old weights' and ends as the new ones', token by token, as if nothing had been cached."""
    policies = [policy(30), policy(31)]
    publish(policies[0], weights)
    first = client.update(weights).version
    long = SAMPLING | {"max_tokens": 400, "ignore_eos": True}
    with ThreadPoolExecutor(1) as background:
        writing = background.submit(client.complete, PROMPTS, G, long, first)
        wait_for("requests under way", lambda: requests_running(generator) > 0, BEGUN_S, interval_s=0.01)
        assert generator.post("/pause?mode=keep").ok  # or they might be written before the new weights are there
        publish(policies[1], weights)
        client.update(weights)
        groups = writing.result()
    for prompt, group in zip(PROMPTS, groups, strict=True):
        for completion in group:
            (_, first_count), (swapped_at, second_count) = completion.versions
            assert (first_count, second_count) == (1, 2)
            of_first, of_second = (differences(model, prompt, completion) < IN_SYNC for model in policies)
            assert swapped_at > 0
            assert of_first[:swapped_at].all()
            assert of_second[swapped_at:].all()


def test_seeded_requests_with_long_prompts_do_no_harm(client: Generator, weights: WeightServer) -> None:
    """With chunked prefill they kill vLLM's CPU engine."""
    model = policy(24)
    publish(model, weights)
    client.update(weights)
    prompts = [[3 + (number * 7 + position) % 200 for position in range(450)] for number in range(16)]
    groups = client.complete(prompts, 4, SAMPLING | {"seed": 5}, weights.version)
    assert logprob_difference(model, groups, prompts) < IN_SYNC
