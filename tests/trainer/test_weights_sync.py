"""A real vLLM server holds exactly the weights that it was given, whatever went wrong before."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from transformers import Qwen2ForCausalLM

from grpo_contract.config import Deadlines
from grpo_contract.network import UNSET_WEIGHT_VERSION
from grpo_trainer.fleet.errors import GeneratorLost
from grpo_trainer.fleet.generator import Generator
from grpo_trainer.fleet.weights import WeightServer
from harness.waiting import wait_for
from trainer.broken_senders import AbsentLearner, BrokenSender, Send, cut_in, flip_a_bit_in, hang_up, send_too_much
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
BEGUN_S = 60.0
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
    for seed in (11, 12, 13):
        model = policy(seed)
        publish(model, weights)
        assert not client.holds(weights.version)
        update = client.update(weights)
        assert client.holds(weights.version)
        assert (update.version, update.size_bytes) == (weights.version, size_bytes(model))
        assert difference(client, model, weights.version) < IN_SYNC
    assert client.name == generator.name


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


@pytest.mark.parametrize("send", [hang_up, cut_in(0)])
def test_a_sender_that_dies_at_once_leaves_the_old_weights(
    client: Generator, weights: WeightServer, send: Send
) -> None:
    old = policy(16)
    publish(old, weights)
    old_version = client.update(weights).version
    publish(policy(17), weights)
    with pytest.raises(GeneratorLost, match="the stream ended"):
        client.update(BrokenSender(weights, send))
    assert client.held_version is None
    assert difference(client, old, old_version) < IN_SYNC


@pytest.mark.parametrize(
    ("send", "complaint"),
    [
        (cut_in(Q_PROJ), "the stream ended"),
        (cut_in(K_PROJ), "the stream ended"),
        (cut_in(LAST), "the stream ended"),
        (flip_a_bit_in(K_PROJ), "the checksum of model.layers.0.self_attn.k_proj.weight does not match"),
        (send_too_much, "the stream is longer than its offer"),
    ],
)
def test_a_broken_stream_is_refused_and_the_next_one_is_loaded_completely(
    client: Generator, generator: RunningGenerator, weights: WeightServer, send: Send, complaint: str
) -> None:
    publish(policy(18), weights)
    client.update(weights)
    assert generator.is_ready
    model = policy(19)
    publish(model, weights)
    with pytest.raises(GeneratorLost, match=complaint):
        client.update(BrokenSender(weights, send))
    assert not generator.is_ready
    assert not client.holds(weights.version)
    client.update(weights)
    assert generator.is_ready
    assert difference(client, model, weights.version) < IN_SYNC


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
        publish(policies[1], weights)
        client.update(weights)
        groups = writing.result()
    for prompt, group in zip(PROMPTS, groups, strict=True):
        for completion in group:
            assert (completion.oldest, completion.newest) == (1, 2)
            of_first, of_second = (differences(model, prompt, completion) < IN_SYNC for model in policies)
            swapped_at = int((~of_first).nonzero()[0])
            assert swapped_at > 0
            assert of_second[swapped_at:].all()


def test_seeded_requests_with_long_prompts_do_no_harm(client: Generator, weights: WeightServer) -> None:
    """With chunked prefill they kill vLLM's CPU engine."""
    model = policy(24)
    publish(model, weights)
    client.update(weights)
    prompts = [[3 + (number * 7 + position) % 200 for position in range(450)] for number in range(16)]
    groups = client.complete(prompts, 4, SAMPLING | {"seed": 5}, weights.version)
    assert logprob_difference(model, groups, prompts) < IN_SYNC
