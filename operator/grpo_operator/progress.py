"""Asks learner 0 of a run how far it is, at most once per interval. A learner that does not answer holds nobody up for
long, and is asked more and more seldom.

Who answers is whatever image the run's owner chose, and this operator serves everybody: so no answer may take more than
a little memory, or send the operator elsewhere in the network.
"""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Final

import aiohttp
from pydantic import ValidationError

from grpo_contract.network import LEARNER_HTTP_PORT, PROGRESS_PATH
from grpo_contract.progress import Progress
from grpo_operator.backoff import doubled
from grpo_operator.reconcile.world import Reading

DEADLINE: Final = aiohttp.ClientTimeout(total=2.0)
LONGEST_PAUSE_S: Final = 60.0

LONGEST_ANSWER_BYTES: Final = 256 * 1024
"""Enough for the progress of a thousand generators and a hundred rewards."""

_CHUNK_BYTES: Final = 16 * 1024
_UNPACKED: Final = {"Accept-Encoding": "identity"}


class _AnswerError(Exception):
    """An answer that is none of a learner; in words that can be said of it."""


@dataclass(frozen=True)
class _Memory:
    reading: Reading
    ask_again_at: float
    failures: int


class ProgressReader:
    def __init__(self, session: aiohttp.ClientSession, interval_s: float) -> None:
        self._session = session
        self._interval_s = interval_s
        self._memory: dict[str, _Memory] = {}

    async def read(self, pod_uid: str, ip: str, now: datetime) -> Reading:
        """The newest answer of this pod: of now, or of less than an interval ago."""
        memory, time = self._memory.get(pod_uid), asyncio.get_running_loop().time()
        before = self.newest(pod_uid)
        if memory and time < memory.ask_again_at:
            return before
        failures = memory.failures if memory else 0
        # Before the answer: the question may be given up for something more urgent.
        self._memory[pod_uid] = _Memory(before, time + self._interval_s, failures)
        host = f"[{ip}]" if ":" in ip else ip
        try:
            progress = await self._ask(f"http://{host}:{LEARNER_HTTP_PORT}{PROGRESS_PATH}")
        except (aiohttp.ClientError, TimeoutError, ValidationError, _AnswerError) as error:
            failures += 1
            reading = Reading(before.progress, _said(error), before.failing_since or now)
        else:
            failures, reading = 0, Reading(progress)
        self._memory[pod_uid] = _Memory(reading, time + pause_s(self._interval_s, failures), failures)
        return reading

    def newest(self, pod_uid: str) -> Reading:
        """What is known of it without asking."""
        memory = self._memory.get(pod_uid)
        return memory.reading if memory else Reading()

    def forget(self, pod_uid: str) -> None:
        self._memory.pop(pod_uid, None)

    async def _ask(self, url: str) -> Progress:
        # What is compressed nevertheless is left so: it is no JSON, and unpacked it may be a thousand times as long.
        async with self._session.get(
            url, timeout=DEADLINE, headers=_UNPACKED, auto_decompress=False, allow_redirects=False
        ) as answer:
            if answer.status != HTTPStatus.OK:
                raise _AnswerError(f"HTTP {answer.status}")
            return Progress.model_validate_json(await _bounded(answer.content))


def pause_s(interval_s: float, failures: int) -> float:
    """Until the next question, after so many without an answer."""
    return doubled(interval_s, failures, LONGEST_PAUSE_S) if failures else interval_s


async def _bounded(content: aiohttp.StreamReader) -> bytes:
    body = bytearray()
    async for chunk in content.iter_chunked(_CHUNK_BYTES):
        body += chunk
        if len(body) > LONGEST_ANSWER_BYTES:
            raise _AnswerError(f"the answer is longer than {LONGEST_ANSWER_BYTES // 1024} KiB")
    return bytes(body)


def _said(error: Exception) -> str:
    """One line, without the address of the pod: it must not change from one try to the next."""
    if isinstance(error, _AnswerError):
        return str(error)
    if isinstance(error, ValidationError):
        return "the answer is of another version of the trainer image"
    return "no answer" if isinstance(error, TimeoutError) else "no connection"
