"""Where completions of a batch lie on the ranks, and what moves with one of them."""

import pytest

from grpo_trainer.sampling.portion import Layout, Portion


@pytest.mark.parametrize(
    ("num_generations", "num_ranks", "wanted", "enough", "most"),
    [
        (8, 1, 3, 3, 3),
        (8, 2, 3, 3, 3),
        (8, 8, 1, 1, 1),
        (8, 16, 3, 4, 2),  # two groups, one completion on each rank
        (8, 12, 4, 6, 3),
        (7, 2, 1, 2, 0),
        (5, 3, 0, 0, 0),
    ],
)
def test_a_batch_lies_evenly(num_generations: int, num_ranks: int, wanted: int, enough: int, most: int) -> None:
    layout = Layout(num_generations, num_ranks, rank=0)
    assert (layout.enough(wanted), layout.most(wanted)) == (enough, most)
    assert enough * num_generations % num_ranks == 0
    assert most * num_generations % num_ranks == 0


def test_groups_lie_one_after_the_other_across_ranks() -> None:
    """Two groups of three on two ranks."""
    ranks = [Layout(num_generations=3, num_ranks=2, rank=rank) for rank in range(2)]
    assert [list(layout.own(3)) for layout in ranks] == [[0, 1, 2], [3, 4, 5]]
    assert [list(layout.own(6)) for layout in ranks] == [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11]]
    assert [list(ranks[1].places(group)) for group in range(3)] == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]


def portion(name: str, **logged: list[int]) -> Portion:
    return Portion({"prompt": [name, name], "completion_ids": [[1], [1, 2]]}, dict(logged))


def test_all_columns_move_together() -> None:
    batch, refill = portion("a", words=[10, 11]), portion("b", words=[20, 21])
    prompts = batch.columns["prompt"]
    batch.put(0, refill.sample(1))
    assert batch.columns == {"prompt": ["b", "a"], "completion_ids": [[1, 2], [1, 2]]}
    assert batch.columns["prompt"] is prompts, "TRL goes on with it"
    assert batch.extras == {"words": [21, 11]}
    assert batch.num_tokens == 4


def test_what_was_logged_of_one_of_them_alone() -> None:
    batch, refill = portion("a", words=[10, 11]), portion("b", lines=[20, 21])
    batch.put(1, refill.sample(0))
    assert batch.extras == {"words": [10, None], "lines": [None, 20]}
