"""When failures of reward functions are too many to go on."""

from collections.abc import Sequence

import pytest

from grpo_contract.failure import UserError
from grpo_contract.metrics import RewardError
from grpo_contract.progress import RewardHealth
from grpo_trainer.rewards.processes.messages import Mishap
from grpo_trainer.rewards.watch import RewardWatch

TIMEOUT = Mishap(RewardError.TIMEOUT, "a call did not end within 60 s")
NO_SOLUTION = Mishap(RewardError.UNPARSABLE_SOLUTION, "there is no answer in the row's solution")


def watch_after(shares: Sequence[float], max_error_share: float = 0.2) -> RewardWatch:
    watch = RewardWatch(max_error_share)
    for share in shares:
        watch.count("accuracy", [TIMEOUT])
        watch.see([watch.take_batch()], share, is_training=True)
    return watch


@pytest.mark.parametrize(
    ("shares", "limit", "error_share", "ends"),
    [
        ([0.0], 0.0, 0.0, False),
        ([0.01], 0.0, 0.002, True),
        ([1.0], 0.2, 0.2, False),  # one bad step ends no run
        ([1.0, 0.05], 0.2, 0.21, True),
        ([0.25] * 4, 0.2, 0.2, False),
        ([0.25] * 5, 0.2, 0.25, True),
        ([1.0, 0.0, 0.0, 0.0, 0.0, 1.0], 0.2, 0.2, False),
        ([1.0] * 9, 1.0, 1.0, False),
    ],
)
def test_the_share_of_five_steps(shares: list[float], limit: float, error_share: float, ends: bool) -> None:
    watch = watch_after(shares, limit)
    assert watch.error_share == pytest.approx(error_share)
    if not ends:
        return watch.check()
    with pytest.raises(UserError) as caught:
        watch.check()
    assert caught.value.failure.reason == "RewardsFailing"
    return None


def test_the_sentence() -> None:
    with pytest.raises(UserError) as caught:
        watch_after([0.75, 1.0]).check()
    assert str(caught.value) == (
        "spec.rewards.maxErrorShare: 87.5 % of the completions of the last 2 steps have no reward because a reward "
        "function failed, which is more than 0.2 of 5 steps; mend the function, or start another run with a higher "
        "maxErrorShare or timeoutSeconds; the last error: accuracy: Timeout: a call did not end within 60 s."
    )


def test_evaluation_does_not_count_as_a_step() -> None:
    watch = watch_after([0.0])
    for _ in range(5):
        watch.see([watch.take_batch()], 1.0, is_training=False)
    assert watch.error_share == 0


def test_all_ranks_count_what_happened_on_any() -> None:
    first, second = RewardWatch(0.2), RewardWatch(0.2)
    first.count("accuracy", [TIMEOUT, NO_SOLUTION, NO_SOLUTION])
    second.count("accuracy", [TIMEOUT])
    second.count("mine:f", [Mishap(RewardError.EXCEPTION, "ValueError: no")] * 2)
    of_ranks = [first.take_batch(), second.take_batch()]
    for watch in (first, second):
        errors = watch.see(of_ranks, 0.25, is_training=True)
        assert errors.counts == watch.take_counts() == {
            ("accuracy", RewardError.TIMEOUT): 2,
            ("accuracy", RewardError.UNPARSABLE_SOLUTION): 2,
            ("mine:f", RewardError.EXCEPTION): 2,
        }  # fmt: skip
        assert errors.examples["mine:f", RewardError.EXCEPTION] == "ValueError: no"
        assert watch.take_counts() == {}
    assert first.health == second.health


def test_what_is_told_of_it() -> None:
    watch = RewardWatch(0.2)
    assert watch.health == RewardHealth(error_share=0)
    watch.count("accuracy", [NO_SOLUTION])  # a row without an answer is no failure
    watch.see([watch.take_batch()], 0.0, is_training=True)
    assert watch.health == RewardHealth(error_share=0)
    watch.count("accuracy", [TIMEOUT])
    watch.see([watch.take_batch()], 0.5, is_training=True)
    told = RewardHealth(error_share=0.1, last_error="accuracy: Timeout: a call did not end within 60 s")
    assert watch.health == told
    watch.see([watch.take_batch()], 0.0, is_training=True)
    assert watch.health == told


def test_a_long_error_is_cut() -> None:
    watch = RewardWatch(0.2)
    watch.count("mine:f", [Mishap(RewardError.EXCEPTION, "x" * 2000)])
    watch.see([watch.take_batch()], 0.0, is_training=True)
    assert watch.last_error == f"mine:f: Exception: {'x' * 500}"


def test_an_attempt_that_goes_on_judges_the_same_steps() -> None:
    before, after = watch_after([1.0, 0.05], max_error_share=1.0), RewardWatch(0.2)
    after.restore(before.state())
    assert after.health == before.health
    assert after.error_share == pytest.approx(0.21)
    with pytest.raises(UserError, match=r"52\.5 % of the completions of the last 2 steps"):
        after.check()
