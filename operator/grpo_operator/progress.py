"""Asks learner 0 of a run how far it is, at most once per interval. A learner that does not answer holds nobody up for
long, and is asked more and more seldom.
"""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import aiohttp
from pydantic import ValidationError

from grpo_contract.network import LEARNER_HTTP_PORT, PROGRESS_PATH
from grpo_contract.progress import Progress
from grpo_operator.reconcile.world import Reading

DEADLINE: Final = aiohttp.ClientTimeout(total=2.0)
LONGEST_PAUSE_S: Final = 60.0


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
        if memory and time < memory.ask_again_at:
            return memory.reading
        before = memory.reading if memory else Reading()
        host = f"[{ip}]" if ":" in ip else ip
        try:
            progress = await self._ask(f"http://{host}:{LEARNER_HTTP_PORT}{PROGRESS_PATH}")
        except (aiohttp.ClientError, TimeoutError, ValidationError) as error:
            failures = memory.failures + 1 if memory else 1
            reading = Reading(before.progress, _said(error), before.failing_since or now)
        else:
            failures, reading = 0, Reading(progress)
        pause_s = min(LONGEST_PAUSE_S, self._interval_s * 2**failures) if failures else self._interval_s
        self._memory[pod_uid] = _Memory(reading, time + pause_s, failures)
        return reading

    def forget(self, pod_uid: str) -> None:
        self._memory.pop(pod_uid, None)

    async def _ask(self, url: str) -> Progress:
        async with self._session.get(url, timeout=DEADLINE, raise_for_status=True) as answer:
            return Progress.model_validate_json(await answer.read())


def _said(error: Exception) -> str:
    """One line, without the address of the pod: it must not change from one try to the next."""
    if isinstance(error, aiohttp.ClientResponseError):
        return f"HTTP {error.status}"
    if isinstance(error, ValidationError):
        return "the answer is of another version of the trainer image"
    return "no answer" if isinstance(error, TimeoutError) else "no connection"
