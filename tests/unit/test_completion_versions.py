"""Which weights wrote which tokens of a completion."""

from types import SimpleNamespace

import pytest

from grpo_generator.in_flight import InFlight, as_header
from grpo_trainer.fleet.completion import Stretch, completions_of, stretches


@pytest.mark.parametrize(
    ("swapped", "versions"),
    [
        ([], ((0, 3),)),
        ([(5, "a-4")], ((0, 3), (5, 4))),
        ([(5, "a-4"), (9, "a-6")], ((0, 3), (5, 4), (9, 6))),
        ([(0, "a-4")], ((0, 4),)),  # it had not begun
        ([(5, "a-4"), (5, "a-5")], ((0, 3), (5, 5))),
    ],
)
def test_stretches(swapped: list[tuple[int, str]], versions: tuple[Stretch, ...]) -> None:
    assert stretches("a-3", swapped) == versions


def test_swaps_are_those_of_the_prompt_and_generation() -> None:
    choices = [
        {"index": index, "token_ids": [1], "logprobs": {"token_logprobs": [-1.0]}, "finish_reason": "stop"}
        for index in range(4)
    ]
    groups = completions_of({"choices": choices}, {"1": {"0": [(7, "a-4")]}}, "a-3", 2, 2)
    versions = [[completion.versions for completion in group] for group in groups]
    assert versions == [[((0, 3),), ((0, 3),)], [((0, 3), (7, 4)), ((0, 3),)]]


def running(*requests: tuple[str, int, int]) -> SimpleNamespace:
    """vLLM's client of an engine with these requests: name of the prompt, generation, tokens so far."""
    states = {
        str(number): SimpleNamespace(
            external_req_id=name,
            request_index=generation,
            detokenizer=SimpleNamespace(num_output_tokens=lambda tokens=tokens: tokens),
        )
        for number, (name, generation, tokens) in enumerate(requests)
    }
    return SimpleNamespace(output_processor=SimpleNamespace(request_states=states))


def test_each_request_is_told_of_its_own_swaps_once() -> None:
    in_flight = InFlight()
    in_flight.swapped(running(("cmpl-a-0", 0, 3), ("cmpl-a-0", 1, 5), ("cmpl-ab-0", 0, 9)), "v-2")
    in_flight.swapped(running(("cmpl-a-0", 1, 8), ("cmpl-a-1", 0, 0)), "v-3")
    assert as_header(in_flight.take("a")) == b'{"0":{"0":[[3,"v-2"]],"1":[[5,"v-2"],[8,"v-3"]]},"1":{"0":[[0,"v-3"]]}}'
    assert in_flight.take("a") == {}
    assert as_header(in_flight.take("ab")) == b'{"0":{"0":[[9,"v-2"]]}}'
