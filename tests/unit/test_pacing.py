"""How fast paced completions are written, on a clock that goes on only when everything waits."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any

import pytest

from perf.pacing import Decoder, Pace

PACE = Pace(seconds_per_token=0.1, slots=4, vocabulary=100)
TOKENS = 10
BATCH_S = 1.0
"""Of up to four completions alone."""


class Selector(selectors.DefaultSelector):
    now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        self.now += timeout or 0.0
        return super().select(0)


def play(scene: Coroutine[Any, Any, Any]) -> Any:
    selector = Selector()
    loop = asyncio.SelectorEventLoop(selector)
    loop.time = lambda: selector.now  # type: ignore[method-assign]
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(scene)


async def ends(decoder: Decoder, count: int, after_s: float = 0.0, num_tokens: int = TOKENS) -> list[float]:
    """When each of so many completions is there, that are asked for after a while."""
    await asyncio.sleep(after_s)

    async def end() -> float:
        await decoder.write(num_tokens)
        return asyncio.get_running_loop().time()

    return list(await asyncio.gather(*(end() for _ in range(count))))


@pytest.mark.parametrize(("count", "seconds"), [(1, 1.0), (4, 1.0), (5, 1.25), (8, 2.0)])
def test_more_than_there_are_slots_share_the_pace(count: int, seconds: float) -> None:
    async def scene() -> list[float]:
        return await ends(Decoder(PACE), count)

    assert play(scene()) == pytest.approx([seconds] * count)


def test_a_short_one_leaves_its_share_to_the_others() -> None:
    """Five tokens of each at half the pace, and the rest of the long ones at the full one."""

    async def scene() -> list[list[float]]:
        decoder = Decoder(PACE)
        return list(await asyncio.gather(ends(decoder, 4), ends(decoder, 4, num_tokens=5)))

    assert play(scene()) == [pytest.approx([1.5] * 4), pytest.approx([1.0] * 4)]


def test_those_that_come_later_slow_down_those_before() -> None:
    """Half of the first alone, its other half beside half of the second, which then is alone."""

    async def scene() -> list[list[float]]:
        decoder = Decoder(PACE)
        return list(await asyncio.gather(ends(decoder, 4), ends(decoder, 4, after_s=BATCH_S / 2)))

    assert play(scene()) == [pytest.approx([1.5] * 4), pytest.approx([2.0] * 4)]


def test_nothing_is_written_while_it_is_paused() -> None:
    async def scene() -> list[float]:
        decoder = Decoder(PACE)
        writing = asyncio.create_task(ends(decoder, 4))
        await asyncio.sleep(0.25)
        decoder.pause(True)
        await asyncio.sleep(7)
        decoder.pause(False)
        return await writing

    assert play(scene()) == pytest.approx([8.0] * 4)


def test_what_is_asked_for_in_a_pause_begins_after_it() -> None:
    async def scene() -> list[float]:
        decoder = Decoder(PACE)
        decoder.pause(True)
        writing = asyncio.create_task(ends(decoder, 4))
        await asyncio.sleep(3)
        decoder.pause(False)
        return await writing

    assert play(scene()) == pytest.approx([4.0] * 4)


def test_what_nobody_waits_for_any_more_takes_nothing() -> None:
    async def scene() -> list[float]:
        decoder = Decoder(PACE)
        given_up = asyncio.create_task(ends(decoder, 4))
        writing = asyncio.create_task(ends(decoder, 4))
        await asyncio.sleep(1.0)
        given_up.cancel()
        return await writing

    assert play(scene()) == pytest.approx([1.5] * 4)
