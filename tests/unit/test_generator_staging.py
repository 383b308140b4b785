"""The server's end of a stage, with a process that answers whatever it is asked, or ends."""

import asyncio
import contextlib
import sys
from asyncio.subprocess import Process
from typing import Any, Final

import pytest

from grpo_generator.staging import StageFailed, Staging

SOON_S: Final = 20.0
STAGER: Final = """
import sys
for line in sys.stdin:
    if line == "end\\n":
        sys.exit(3)
    print(line, end="", flush=True)
"""


class Processes:
    """What `asyncio.create_subprocess_exec` makes, as soon as it may."""

    def __init__(self) -> None:
        self.made: list[Process] = []
        self.is_asked = asyncio.Event()
        self.may_be_made = asyncio.Event()
        self._make = asyncio.create_subprocess_exec

    async def make(self, *_: Any, **pipes: Any) -> Process:
        self.is_asked.set()
        await self.may_be_made.wait()
        self.made.append(await self._make(sys.executable, "-c", STAGER, **pipes))
        return self.made[-1]


async def until_gone(process: Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        while True:
            process.send_signal(0)
            await asyncio.sleep(0.01)


async def ask_while_a_new_process_starts(monkeypatch: pytest.MonkeyPatch) -> list[bytes | BaseException]:
    processes, staging = Processes(), Staging()
    monkeypatch.setattr(asyncio, "create_subprocess_exec", processes.make)
    processes.may_be_made.set()
    with pytest.raises(StageFailed, match="the process that fetches weights ended with code 3"):
        await staging.stage(b"end")
    await until_gone(processes.made[0])
    processes.is_asked.clear()
    processes.may_be_made.clear()
    first = asyncio.create_task(staging.stage(b"first"))
    await processes.is_asked.wait()
    second = asyncio.create_task(staging.stage(b"second"))
    await asyncio.sleep(0)  # it has begun
    processes.may_be_made.set()
    answers = await asyncio.gather(first, second, return_exceptions=True)
    processes.made[1].kill()
    await processes.made[1].wait()
    return list(answers)


def test_a_stage_may_come_while_the_process_starts_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = asyncio.run(asyncio.wait_for(ask_while_a_new_process_starts(monkeypatch), SOON_S))
    assert answers == [b"first\n", b"second\n"]
