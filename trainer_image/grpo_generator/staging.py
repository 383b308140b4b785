"""The server's end of a stage: hands offers to the process that keeps the mirror, and its answers back."""

import asyncio
import contextlib
import sys
from asyncio.subprocess import PIPE, Process
from typing import Final

STAGER: Final = "grpo_generator.stager"
NEWLINE: Final = b"\n"


class StageFailed(Exception):
    """The process ended before it answered. A sentence."""


class Staging:
    def __init__(self) -> None:
        self._process: Process | None = None
        self._one_at_a_time = asyncio.Lock()

    async def stage(self, offer: bytes) -> bytes:
        """An offer in JSON, the answer in JSON. It ends a stage that its process works on: its learner has given up on it.

        Raises:
            StageFailed: as is said there.
        """
        if self._one_at_a_time.locked() and self._process is not None:
            with contextlib.suppress(ProcessLookupError):  # it has ended, and the stage waits for a new one
                self._process.kill()
        async with self._one_at_a_time:
            process = await self._running()
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(offer.replace(NEWLINE, b" ") + NEWLINE)
            answer = await process.stdout.readline()
            if not answer:
                raise StageFailed(f"the process that fetches weights ended with code {await process.wait()}")
            return answer

    async def _running(self) -> Process:
        """The one that keeps the mirror, or a new one, whose mirror is empty."""
        if self._process is None or self._process.returncode is not None:
            self._process = await asyncio.create_subprocess_exec(sys.executable, "-m", STAGER, stdin=PIPE, stdout=PIPE)
        return self._process
