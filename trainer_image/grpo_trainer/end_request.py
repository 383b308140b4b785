"""A pod that is asked to end (SIGTERM: it is deleted, its node is drained), as its launcher and its ranks tell each other.

By files in a folder of the pod: a rank that is deep in a library looks when it comes to it. No torch: the launcher uses it.
"""

import contextlib
import os
import signal
from pathlib import Path
from typing import Final

from grpo_contract import environment
from grpo_contract.failure import PodReason, RunFailure

EXIT_CODE: Final = 128 + signal.SIGTERM
"""Of who ended because a pod was asked to; as of a program that SIGTERM has ended."""


class AskedToEnd(RunFailure):
    """A pod of the attempt was asked to end, and all ranks end with it. `follows`: another one than this."""

    def __init__(self, message: str, *, follows: bool = False) -> None:
        super().__init__(PodReason.LEARNER_ASKED_TO_END, message, follows=follows)


class EndRequest:
    """Of this pod. Without a launcher there is no folder, and nobody who asks."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    @classmethod
    def of_pod(cls) -> "EndRequest":
        folder = os.environ.get(environment.END_REQUEST)
        return cls(Path(folder) if folder else None)

    def heed(self, within_s: float) -> None:
        """Ranks will look whether it is made, or have ended: within so many seconds if all is well, and infinity if they save."""
        if self._folder is None:
            return
        partial = self._folder / f".{os.getpid()}"
        with contextlib.suppress(OSError):  # a full disk is no reason to end; what was said before stays
            partial.write_text(str(within_s))
            partial.rename(_heeded(self._folder))

    def ignore(self) -> None:
        """Ranks have nothing more to save."""
        if self._folder is not None:
            _heeded(self._folder).unlink(missing_ok=True)

    def heeded_within_s(self) -> float | None:
        """None: it is not heeded."""
        try:
            return None if self._folder is None else float(_heeded(self._folder).read_text())
        except FileNotFoundError:
            return None

    def make(self) -> None:
        assert self._folder is not None
        _made(self._folder).touch()

    def is_made(self) -> bool:
        return self._folder is not None and _made(self._folder).exists()


def _heeded(folder: Path) -> Path:
    return folder / "heeded"


def _made(folder: Path) -> Path:
    return folder / "made"
