"""How learner 0 is asked for its progress."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import aiohttp
import pytest
from aiohttp import web

from grpo_contract.network import LEARNER_HTTP_PORT, PROGRESS_PATH
from grpo_contract.progress import Progress, Stage, Steps
from grpo_operator.progress import LONGEST_ANSWER_BYTES, ProgressReader, pause_s
from grpo_operator.reconcile.world import Reading
from unit.observed_inputs import NOW

ADDRESS = "127.9.4.3"
ELSEWHERE = "/elsewhere"
PROGRESS = Progress(attempt=1, stage=Stage.TRAINING, progress=Steps(step=3))
Answer = Callable[[], web.Response]


class Learner:
    def __init__(self, answer: Answer) -> None:
        self.answer, self.asked, self.was_followed = answer, 0, False
        self.asked_at = self.read_at = 0.0
        """When the last question came, and when it had not been sent yet."""
        self.encodings: set[str | None] = set()

    async def handle(self, request: web.Request) -> web.Response:
        self.asked, self.asked_at = self.asked + 1, asyncio.get_running_loop().time()
        self.encodings.add(request.headers.get("Accept-Encoding"))
        return self.answer()

    async def elsewhere(self, _: web.Request) -> web.Response:
        self.was_followed = True
        return good()


def with_reader(answer: Answer, interval_s: float, test: Callable[[ProgressReader, Learner], Awaitable[None]]) -> None:
    async def run() -> None:
        learner = Learner(answer)
        application = web.Application()
        application.router.add_get(PROGRESS_PATH, learner.handle)
        application.router.add_get(ELSEWHERE, learner.elsewhere)
        runner = web.AppRunner(application)
        await runner.setup()
        await web.TCPSite(runner, ADDRESS, LEARNER_HTTP_PORT).start()
        try:
            async with aiohttp.ClientSession() as session, asyncio.timeout(20):
                await test(ProgressReader(session, interval_s), learner)
        finally:
            await runner.cleanup()

    asyncio.run(run())


async def read_anew(reader: ProgressReader, learner: Learner, now: datetime) -> Reading:
    """The first reading that the learner was asked for again."""
    before = learner.asked
    while True:
        learner.read_at = asyncio.get_running_loop().time()
        reading = await reader.read("pod", ADDRESS, now)
        if learner.asked > before:
            return reading
        await asyncio.sleep(0.002)


def good(length: int = 0) -> web.Response:
    """`length`: at least so many bytes."""
    return web.Response(text=PROGRESS.to_json().ljust(length))


def redirected() -> web.Response:
    return web.Response(status=302, headers={"Location": ELSEWHERE}, text=PROGRESS.to_json())


def compressed() -> web.Response:
    answer = good()
    answer.enable_compression(web.ContentCoding.gzip)
    return answer


def test_an_answer_is_read_once_per_interval() -> None:
    async def test(reader: ProgressReader, learner: Learner) -> None:
        assert reader.newest("pod") == Reading()
        first, second = await reader.read("pod", ADDRESS, NOW), await reader.read("pod", ADDRESS, NOW)
        assert first == second == reader.newest("pod")
        assert first.progress == PROGRESS
        assert learner.asked == 1
        await reader.read("another pod", ADDRESS, NOW)
        assert learner.asked == 2
        reader.forget("pod")
        await reader.read("pod", ADDRESS, NOW)
        assert learner.asked == 3

    with_reader(good, 60, test)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (lambda: web.Response(status=503), "HTTP 503"),
        (lambda: web.Response(text='{"attempt": "x"}'), "the answer is of another version of the trainer image"),
        (
            lambda: web.Response(text='{"attempt": 1, "stage": "Training", "progress": {"etaSeconds": 1e400}}'),
            "the answer is of another version of the trainer image",
        ),
        (redirected, "HTTP 302"),
        (compressed, "the answer is of another version of the trainer image"),
        (lambda: good(LONGEST_ANSWER_BYTES + 1), "the answer is longer than 256 KiB"),
    ],
)
def test_a_bad_answer_keeps_the_last_good_one(answer: Answer, error: str) -> None:
    async def test(reader: ProgressReader, learner: Learner) -> None:
        await reader.read("pod", ADDRESS, NOW)
        learner.answer = answer
        first = await read_anew(reader, learner, NOW)
        assert (first.progress, first.error, first.failing_since) == (PROGRESS, error, NOW)
        second = await read_anew(reader, learner, NOW + timedelta(seconds=9))
        assert second.failing_since == NOW, "since the first of them"
        learner.answer = good
        third = await read_anew(reader, learner, NOW)
        assert (third.progress, third.error, third.failing_since) == (PROGRESS, None, None)
        assert not learner.was_followed
        assert learner.encodings == {"identity"}

    with_reader(good, 0.01, test)


def test_an_answer_may_be_as_long_as_the_bound() -> None:
    async def test(reader: ProgressReader, learner: Learner) -> None:
        reading = await reader.read("pod", ADDRESS, NOW)
        assert (reading.progress, reading.error) == (PROGRESS, None)

    with_reader(lambda: good(LONGEST_ANSWER_BYTES), 60, test)


def test_a_learner_that_is_not_there() -> None:
    async def test(reader: ProgressReader, learner: Learner) -> None:
        reading = await reader.read("pod", "127.9.4.4", NOW)
        assert (reading.progress, reading.error, reading.failing_since) == (None, "no connection", NOW)
        assert learner.asked == 0

    with_reader(good, 60, test)


def test_a_learner_that_does_not_answer_is_asked_more_and_more_seldom() -> None:
    async def test(reader: ProgressReader, learner: Learner) -> None:
        await read_anew(reader, learner, NOW)
        for failures in range(1, 5):
            sent_after = learner.read_at
            await read_anew(reader, learner, NOW)
            assert learner.asked_at - sent_after >= 0.05 * 2**failures

    with_reader(lambda: web.Response(status=500), 0.05, test)


@pytest.mark.parametrize(("failures", "expected"), [(0, 10), (1, 20), (2, 40), (3, 60), (100_000, 60)])
def test_pause_between_two_questions(failures: int, expected: float) -> None:
    assert pause_s(10.0, failures) == expected
