"""A completion is the same, digit for digit on a CPU, whatever it is written beside and in whichever request it was asked for."""

import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from vllm import _custom_ops

from grpo_contract.config import Deadlines
from grpo_generator.plugin import register
from grpo_trainer.fleet.completion import Completion
from grpo_trainer.fleet.generator import Generator
from grpo_trainer.fleet.seeds import seeded, seeds_of
from grpo_trainer.fleet.weights import WeightServer
from trainer.published import SAMPLING, TOKENIZER, policy, publish
from trainer.running_generator import RunningGenerator

G = 4
PROMPTS: list[list[int]] = TOKENIZER([f"{'long ' * number} prompt {number}" for number in range(20)])["input_ids"]
SEEDS = seeds_of(1, "training 0", len(PROMPTS))

Groups = list[list[Completion]]


@pytest.fixture
def client(generator: RunningGenerator) -> Iterator[Generator]:
    weights = WeightServer("127.0.0.1", 0, deadline_s=20)
    publish(policy(41), weights)
    client = Generator(generator.url, lambda: generator.token, Deadlines(generate_s=120, weight_sync_s=60))
    client.update(weights)
    yield client
    weights.close()


def write(client: Generator, places: Sequence[int]) -> Groups:
    """Of the prompts at these places, in one request."""
    assert client.held_version is not None
    sampling = seeded(SAMPLING, [SEEDS[place] for place in places])
    return client.complete([PROMPTS[place] for place in places], G, sampling, client.held_version)


def write_in_requests(client: Generator, requests: Sequence[Sequence[int]]) -> Groups:
    """All at once."""
    with ThreadPoolExecutor(len(requests)) as pool:
        answers = list(pool.map(lambda places: write(client, places), requests))
    by_place = {
        place: group
        for places, groups in zip(requests, answers, strict=True)
        for place, group in zip(places, groups, strict=True)
    }
    return [by_place[place] for place in range(len(PROMPTS))]


@pytest.fixture
def alone(client: Generator) -> Groups:
    """One after the other."""
    return [write(client, [place])[0] for place in range(len(PROMPTS))]


@pytest.mark.parametrize("num_requests", [1, 3, len(PROMPTS)])
def test_what_else_is_written_makes_no_difference(client: Generator, alone: Groups, num_requests: int) -> None:
    places = list(range(len(PROMPTS)))
    random.Random(num_requests).shuffle(places)
    requests = [places[first::num_requests] for first in range(num_requests)]
    assert write_in_requests(client, requests) == alone
    completions = [tuple(completion.token_ids) for group in alone for completion in group]
    assert len(set(completions)) == len(completions)  # each has its own random numbers


def test_prompts_that_are_equal_are_not_written_alike(client: Generator) -> None:
    assert client.held_version is not None
    sampling = seeded(SAMPLING, SEEDS[:2])
    first, second = client.complete([PROMPTS[0]] * 2, G, sampling, client.held_version)
    assert not {tuple(completion.token_ids) for completion in first} & {
        tuple(completion.token_ids) for completion in second
    }


@pytest.mark.parametrize("length", [64, 896, 2432, 4864])
def test_a_row_is_computed_alike_alone_and_among_others(length: int) -> None:
    register()
    torch.manual_seed(0)
    weight, rows, bias = torch.randn(128, length), torch.randn(40, length), torch.randn(128)
    handler = _custom_ops.create_onednn_mm(weight.t(), 32)
    together = _custom_ops.onednn_mm(handler, rows, bias)
    for first in (0, 7):
        for count in (1, 2, 3, 16):
            some = slice(first, first + count)
            assert torch.equal(_custom_ops.onednn_mm(handler, rows[some], bias), together[some])
    assert torch.equal(_custom_ops.onednn_mm(handler, rows[None, :1], bias), together[None, :1])
