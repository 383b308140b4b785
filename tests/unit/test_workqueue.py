"""The queue of runs: once waiting, once in work, delays that do not pile up."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from grpo_operator.workqueue import BACKOFF_MOST_S, WorkQueue, backoff_s
from unit.skipping_loop import with_clock

Test = Callable[[WorkQueue[str]], Awaitable[None]]


def with_queue(test: Test) -> None:
    async def run() -> None:
        async with asyncio.timeout(3600):
            await test(WorkQueue[str]())

    with_clock(run())


def now() -> float:
    return asyncio.get_running_loop().time()


def test_a_key_waits_once() -> None:
    async def test(queue: WorkQueue[str]) -> None:
        for key in ("a", "b", "a"):
            queue.add(key)
        assert queue.depth == 2
        assert [await queue.take(), await queue.take()] == ["a", "b"]
        assert queue.depth == 0

    with_queue(test)


def test_a_key_that_changes_while_in_work_is_taken_again_afterwards() -> None:
    async def test(queue: WorkQueue[str]) -> None:
        queue.add("a")
        await queue.take()
        queue.add("a")
        assert queue.depth == 0, "nobody else may take it meanwhile"
        queue.done("a")
        assert await queue.take() == "a"
        queue.done("a")
        assert queue.depth == 0

    with_queue(test)


def test_what_goes_first_overtakes_all_else_in_its_own_order() -> None:
    async def test(queue: WorkQueue[str]) -> None:
        queue.add("old")
        queue.add("new 1", goes_first=True)
        queue.add("older", goes_first=False)
        queue.add("new 2", goes_first=True)
        assert [await queue.take() for _ in range(4)] == ["new 1", "new 2", "old", "older"]

    with_queue(test)


def test_the_shortest_delay_counts() -> None:
    async def test(queue: WorkQueue[str]) -> None:
        queue.add_after("a", 60)
        queue.add_after("a", 10)
        queue.add_after("a", 30)
        assert await queue.take() == "a"
        assert now() == 10

    with_queue(test)


def test_taking_a_key_ends_its_delay() -> None:
    async def test(queue: WorkQueue[str]) -> None:
        queue.add_after("a", 5)
        queue.add("a")
        await queue.take()
        queue.done("a")
        queue.add_after("b", 10)
        assert await queue.take() == "b", "a is not due any more"

    with_queue(test)


def test_a_day_of_failures_is_no_trouble() -> None:
    assert backoff_s(100_000) == BACKOFF_MOST_S


def test_failures_in_a_row_are_put_off_further_and_further() -> None:
    async def test(queue: WorkQueue[str]) -> None:
        delays = [queue.add_after_failure("a") for _ in range(9)]
        assert delays == [0.5, 1, 2, 4, 8, 16, 32, BACKOFF_MOST_S, BACKOFF_MOST_S]
        assert queue.add_after_failure("b") == 0.5
        assert queue.add_after_failure("b", at_least_s=7) == 7, "the API server has said when"
        queue.forget_failures("a")
        assert queue.add_after_failure("a") == 0.5

    with_queue(test)


@pytest.mark.parametrize("is_done", [True, False])
def test_work_that_hangs_shows(is_done: bool) -> None:
    async def test(queue: WorkQueue[str]) -> None:
        queue.add("waiting")
        assert queue.longest_in_work_s == 0
        await queue.take()
        if is_done:
            queue.done("waiting")
        await asyncio.sleep(10)
        assert queue.longest_in_work_s == (0 if is_done else 10)

    with_queue(test)


@pytest.mark.parametrize(("added_after_s", "given", "took_s"), [(3, None, 3), (0, None, 0), (5, "answer", 4)])
def test_a_part_of_the_work_gives_way_to_news(added_after_s: float, given: str | None, took_s: float) -> None:
    async def answer() -> str:
        await asyncio.sleep(4)
        return "answer"

    async def test(queue: WorkQueue[str]) -> None:
        queue.add("a")
        await queue.take()
        began = now()
        queue.add_after("a", added_after_s) if added_after_s else queue.add("a")
        assert await queue.unless_added("a", answer()) == given
        assert now() - began == took_s
        queue.done("a")
        assert await queue.take() == "a"

    with_queue(test)


def test_a_part_of_the_work_may_run_into_a_deadline_of_its_own() -> None:
    async def late() -> None:
        raise TimeoutError

    async def test(queue: WorkQueue[str]) -> None:
        queue.add("a")
        await queue.take()
        with pytest.raises(TimeoutError):
            await queue.unless_added("a", late())

    with_queue(test)
