"""Which generator writes which group, as tables of what waits and what is under way."""

import pytest

from grpo_trainer.fleet.routing import RESERVE, Group, Load, enough, route

MOST_SEQUENCES = 1024
"""That any of them has under way."""
G = 8
GROUP = Group(G, G * 100.0)
HALF = MOST_SEQUENCES // 2


def idle(rate: float | None = None) -> Load:
    return Load(0, 0.0, rate, MOST_SEQUENCES)


def with_groups(number: int, rate: float | None = None) -> Load:
    return Load(number * GROUP.sequences, number * GROUP.tokens, rate, MOST_SEQUENCES)


def full(rate: float | None = None) -> Load:
    return with_groups(MOST_SEQUENCES // G, rate)


TABLE: dict[str, tuple[list[Group], list[Load], list[list[int]]]] = {
    "nobody is there": ([GROUP], [], []),
    "nothing waits": ([], [idle(), idle()], [[], []]),
    "nobody was measured, so they take turns": ([GROUP] * 5, [idle(), idle()], [[0, 2, 4], [1, 3]]),
    "who has less under way comes first": (
        [GROUP] * 3,
        [with_groups(2), with_groups(0), with_groups(1)],
        [[], [0, 1], [2]],
    ),
    "half as fast, half the share": (
        [GROUP] * 7,
        [idle(1), idle(0.5), idle(1), idle(1)],
        [[0, 3], [4], [1, 5], [2, 6]],
    ),
    "the last group goes where it is written sooner, not where nothing is under way": (
        [GROUP],
        [with_groups(2, 1.0), idle(0.3)],
        [[0], []],
    ),
    "but not when that takes longer": ([GROUP], [with_groups(3, 1.0), idle(0.3)], [[], [0]]),
    "one that was not measured is like the others' mean": (
        [GROUP] * 6,
        [idle(3), idle(1), idle(None)],
        [[0, 2, 3], [4], [1, 5]],
    ),
    "what nobody has room for waits": ([GROUP] * 3, [full(), full()], [[], []]),
    "room for one": (
        [GROUP] * 3,
        [full(), with_groups(MOST_SEQUENCES // G - 1)],
        [[], [0]],
    ),
    "a group waits for a fast one that is full rather than go to a slow one": (
        [GROUP],
        [full(1.0), idle(0.001)],
        [[], []],
    ),
    "the slow one gets the last of many that wait for the fast one": (
        [Group(HALF, 1.0)] * 20,
        [Load(2 * HALF, 2.0, 1.0, MOST_SEQUENCES), idle(0.1)],
        [[], [8, 19]],
    ),
    "a group that is larger than the bound goes to one with nothing under way": (
        [Group(2 * MOST_SEQUENCES, 1.0)] * 3,
        [with_groups(1), idle(), idle()],
        [[], [0], [1]],
    ),
    "a large group goes to one that has not enough, and whatever comes after waits": (
        [Group(MOST_SEQUENCES, 100.0), Group(1, 100.0)],
        [Load(MOST_SEQUENCES - 1, 100.0, 1.0, MOST_SEQUENCES)],
        [[0]],
    ),
    "who writes more at once gets more before the others wait": (
        [GROUP] * 8,
        [Load(0, 0.0, None, 4 * G), Load(0, 0.0, None, 2 * G)],
        [[0, 2, 4, 6], [1, 3]],
    ),
    "groups of other sizes": (
        [Group(4, 400.0), Group(4, 100.0), Group(4, 100.0), Group(4, 100.0)],
        [idle(), idle()],
        [[0], [1, 2, 3]],
    ),
}


@pytest.mark.parametrize(("groups", "loads", "shares"), TABLE.values(), ids=TABLE)
def test_routes(groups: list[Group], loads: list[Load], shares: list[list[int]]) -> None:
    assert route(groups, loads) == shares


def test_the_bound_is_reached_with_the_last_group() -> None:
    fitting = MOST_SEQUENCES // G
    [share] = route([GROUP] * (fitting + 3), [idle()])
    assert share == list(range(fitting))
    [share] = route([Group(3, 3.0)] * MOST_SEQUENCES, [idle()])
    assert share == list(range(342))


def test_as_much_is_under_way_as_is_written_at_once_and_a_reserve() -> None:
    assert enough(128, None, None) == 128 * RESERVE == 160
    assert enough(128, 100.0, 100.0) == 160
    assert enough(128, 100.0, 250.0) == 400
