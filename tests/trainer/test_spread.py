"""Which groups teach something: TRL's own advantages decide. And which rows take the place of those that do not."""

from collections.abc import Mapping

import pytest
import torch

from grpo_trainer.rewards.score import FAILED
from grpo_trainer.sampling.reserve import Reserve
from grpo_trainer.sampling.spread import judge

NAN = float("nan")
G = 3

# name: (scores of a group by two functions of weights 1 and 2, which kind it is by sum_then_normalize, and by normalize_then_sum)
GROUPS: Mapping[str, tuple[list[list[float]], str, str]] = {
    "equal": ([[1, 0], [1, 0], [1, 0]], "equal", "equal"),
    "one function differs": ([[1, 0], [0, 0], [0, 0]], "spread", "spread"),
    "the sums are equal": ([[2, 0], [0, 1], [2, 0]], "equal", "spread"),
    "a mean that is not exact": ([[0.1, 0.7]] * G, "equal", "equal"),
    "one function does not say": ([[1, NAN], [1, NAN], [0, NAN]], "spread", "spread"),
    "one completion is unscorable, the others are equal": ([[NAN, NAN], [1, 1], [1, 1]], "equal", "equal"),
    "one completion is unscorable, the others differ": ([[NAN, NAN], [1, 1], [0, 1]], "spread", "spread"),
    "one scored less, and another function failed there": ([[1, 1], [1, 1], [0, FAILED]], "equal", "equal"),
    "one completion has a reward": ([[NAN, NAN], [1, FAILED], [1, 1]], "neither", "neither"),
    "none has": ([[NAN, NAN]] * G, "neither", "neither"),
}
WEIGHTS = torch.tensor([1.0, 2.0])


@pytest.mark.parametrize(("aggregation", "column"), [("sum_then_normalize", 1), ("normalize_then_sum", 2)])
def test_groups_are_of_three_kinds(aggregation: str, column: int) -> None:
    scores = torch.tensor([completion for group in GROUPS.values() for completion in group[0]])
    judgement = judge(scores, WEIGHTS, G, aggregation)
    kinds = ["neither"] * len(GROUPS)
    for kind, groups in (("equal", judgement.equal), ("spread", judgement.spread)):
        for group in groups:
            kinds[group] = kind
    assert dict(zip(GROUPS, kinds, strict=True)) == {name: group[column] for name, group in GROUPS.items()}


def test_a_function_of_no_weight_makes_no_difference() -> None:
    scores = torch.tensor([[1.0, 0], [1, 1], [1, 2]])
    assert judge(scores, torch.tensor([1.0, 0]), G, "sum_then_normalize").equal == [0]


ROWS = [{"prompt": [{"role": "user", "content": f"{number}?"}]} for number in [*range(20), *range(20)]]
"""Each prompt twice."""
BATCH = [ROWS[number]["prompt"] for number in (3, 4)]


def prompts_of(places: list[int]) -> list[str]:
    return [ROWS[place]["prompt"][0]["content"] for place in places]


def test_a_reserve_has_each_other_prompt_once_and_goes_on_where_it_was() -> None:
    reserve = Reserve(ROWS, 1, 7, BATCH)
    rounds = [reserve.take(count) for count in (3, 0, 5, 20, 1)]
    assert [len(places) for places in rounds] == [3, 0, 5, 10, 0]
    prompts = [prompt for places in rounds for prompt in prompts_of(places)]
    assert sorted(prompts) == sorted(f"{number}?" for number in range(20) if number not in (3, 4))


def test_its_order_is_that_of_the_seed_and_the_batch() -> None:
    def order(seed: int, number: int) -> list[int]:
        return Reserve(ROWS, seed, number, BATCH).take(18)

    assert order(1, 7) == order(1, 7)
    assert order(1, 7) != order(1, 8)
    assert order(1, 7) != order(2, 7)
    assert order(1, 7) != sorted(order(1, 7))
