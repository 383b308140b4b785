"""Whether a checkpoint is as it was written. Every rank reads a share of it, and all come to the same finding.

A thread reads, and ranks tell each other every few seconds how far they are: none waits long in a collective, whose deadline
is not made for reading a large model, and the log says how far it is.
"""

import contextlib
import logging
import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from accelerate import PartialState
from accelerate.utils import gather_object

from grpo_trainer.decisions import decided_by_rank_0
from grpo_trainer.storage.checksums import FileSum, Sums, share_of_rank, sum_of, sums_of_rank

ROUND_S: Final = 10.0
READ_AGAIN_S: Final = 0.5
READ_ON_WITHIN_S: Final = 180.0
"""For a network drive that stutters, and for all nodes to see what one has written."""
NO_ANSWER: Final = "the volume gives no answer"
GIB: Final = 2**30

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Finding:
    """What is wrong with a checkpoint."""

    folder: Path
    problem: str
    """One clause that names the file."""
    is_damage: bool = True
    """It was read, and is not what was written. Else it cannot be read now, and may be whole."""


@dataclass(frozen=True)
class Check:
    """How far one rank is with its share."""

    bytes_read: int
    bytes_in_all: int
    is_over: bool
    finding: Finding | None


def own_sums(folder: Path) -> Sums:
    """Of what this rank has just written there."""
    return sums_of_rank(folder, PartialState().process_index)


def find_damage(folder: Path, sums: Sums) -> Finding | None:
    """A collective."""
    finding = decided_by_rank_0(lambda: missing_or_cut_off(folder, sums))
    return finding if finding is not None else different_content(folder, sums)


def missing_or_cut_off(folder: Path, sums: Sums) -> Finding | None:
    """What names and sizes tell, without reading any file."""
    for name, written in sums.items():
        try:
            size = (folder / name).stat().st_size
        except FileNotFoundError:
            return Finding(folder, f"{name} is missing")
        except OSError as error:
            return Finding(folder, unreadable(name, error), is_damage=False)
        if size != written.size:
            return Finding(folder, f"{name} has {size} bytes, and was written with {written.size}")
    return None


def different_content(folder: Path, sums: Sums) -> Finding | None:
    """A collective."""
    ranks = PartialState()
    share = {name: sums[name] for name in share_of_rank(sums, ranks.process_index, ranks.num_processes)}
    reader = ShareReader(folder, share)
    reader.start()
    while True:
        checks: list[Check] = gather_object([reader.wait(ROUND_S)])
        finding = next((check.finding for check in checks if check.finding is not None), None)
        if finding is not None or all(check.is_over for check in checks):
            reader.stop()
            return finding
        if ranks.is_main_process:
            read, in_all = sum(check.bytes_read for check in checks), sum(check.bytes_in_all for check in checks)
            log.info("%s: %.1f of %.1f GiB are checked", folder.name, read / GIB, in_all / GIB)


def unreadable(name: str, error: OSError) -> str:
    return f"{name} cannot be read ({error.strerror})"


def forget_cached(file: Path) -> None:
    """What the node's memory holds of it."""
    with file.open("rb") as opened:
        os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


class _StoppedError(Exception):
    """Nobody asks any more."""


class ShareReader(threading.Thread):
    """Reads until it has found something, or all is as it was written. What it cannot read it tries again."""

    def __init__(self, folder: Path, share: Sums) -> None:
        super().__init__(daemon=True, name="checkpoint-check")  # a drive that answers nobody may hold it for ever
        self._folder = folder
        self._share = share
        self._bytes_in_all = sum(written.size for written in share.values())
        self._bytes_read = 0
        self._read_on_at_s = time.monotonic()
        self._file = ""
        self._error: OSError | None = None
        self._finding: Finding | None = None
        self._is_over, self._is_stopped = threading.Event(), threading.Event()

    def wait(self, seconds: float) -> Check:
        """For its end, and no longer than that."""
        is_over = self._is_over.wait(seconds)
        finding = self._finding
        if not is_over and time.monotonic() - self._read_on_at_s >= READ_ON_WITHIN_S:
            problem = unreadable(self._file, self._error or OSError(0, NO_ANSWER))
            finding = Finding(self._folder, problem, is_damage=False)
        return Check(self._bytes_read, self._bytes_in_all, is_over, finding)

    def stop(self) -> None:
        self._is_stopped.set()

    def run(self) -> None:
        before = 0
        for name, written in self._share.items():
            self._file = name
            if not self._is_as_written(name, written, before):
                self._finding = Finding(self._folder, f"the content of {name} is not what was written")
                break
            before += written.size
        self._is_over.set()

    def _is_as_written(self, name: str, written: FileSum, before: int) -> bool:
        """Or nobody asks any more. What was read wrong is read once more, and not from this node's memory: that may be what is
        damaged."""
        if self._read_surely(name, before) in (written, None):
            return True
        log.warning("%s of %s is not what was written, and is read once more", name, self._folder.name)
        with contextlib.suppress(OSError):
            forget_cached(self._folder / name)
        self._bytes_read = before
        return self._read_surely(name, before) in (written, None)

    def _read_surely(self, name: str, before: int) -> FileSum | None:
        """None when nobody asks any more. `before`: bytes of the files read before this one."""
        while not self._is_stopped.is_set():
            try:
                return sum_of(self._folder / name, lambda size: self._got_to(before + size))
            except _StoppedError:
                return None
            except OSError as error:
                self._error = error
            self._is_stopped.wait(READ_AGAIN_S)
        return None

    def _got_to(self, num_bytes: int) -> None:
        if num_bytes > self._bytes_read:  # not what is read once more
            self._bytes_read, self._read_on_at_s, self._error = num_bytes, time.monotonic(), None
        if self._is_stopped.is_set():
            raise _StoppedError
