"""A checkpoint that cannot be written ends no training: the rank that has the trouble goes on with what all ranks do together,
writes nothing more, and tells the others at the end.

DeepSpeed and transformers have collectives between their writes. A rank that left them by an error would keep the others
waiting, so each write before the last of these collectives is looked after by itself.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from grpo_contract.failure import QUOTED_CHARACTERS
from grpo_trainer.causes import chain, first_line
from grpo_trainer.storage.checkpoint_files import LATEST
from grpo_trainer.storage.volume_errors import is_of_full_volume, is_of_volume

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class WriteTrouble:
    """Why one rank could not write its part."""

    words: str
    is_full: bool


class CheckpointWriting:
    """Of one rank. Errors pass as they are where no checkpoint is being written: the trained model must be saved."""

    def __init__(self) -> None:
        self.trouble: WriteTrouble | None = None
        self._is_going_on = False

    @contextmanager
    def whole(self) -> Iterator[None]:
        """Around all that writes a checkpoint."""
        self.trouble, self._is_going_on = None, True
        try:
            with self.guarded():
                yield
        finally:
            self._is_going_on = False

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Around a write, or around the last of what ranks do together."""
        try:
            yield
        except Exception as error:
            cause = next(filter(is_of_volume, chain(error)), None)
            if cause is None or not self._is_going_on:
                raise
            self._note(cause)

    def do(self, write: Callable[..., Any], *arguments: Any, **options: Any) -> None:
        """Unless there is trouble already: the checkpoint is lost, and what is left of the volume may be needed."""
        if self.trouble is None or not self._is_going_on:
            with self.guarded():
                write(*arguments, **options)

    def _note(self, cause: BaseException) -> None:
        log.error("a checkpoint cannot be written: %s", cause)
        if self.trouble is None:  # the words alone: an error holds on to the file that it is about
            self.trouble = WriteTrouble(first_line(cause)[:QUOTED_CHARACTERS], is_of_full_volume(cause))


class GuardedEngine:
    """What DeepSpeed writes by, in the place of one of its checkpoint engines."""

    def __init__(self, engine: Any, writing: CheckpointWriting, is_main_process: bool) -> None:
        self._engine = engine
        self._writing = writing
        self._is_main_process = is_main_process

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        self._writing.do(self._engine.makedirs, path, exist_ok=exist_ok)

    def save(self, state_dict: Any, path: str) -> None:
        self._writing.do(self._engine.save, state_dict, path)

    def commit(self, info: Any) -> bool:
        """Instead of DeepSpeed, which would write the name unguarded, before the last of its collectives."""
        if self._is_main_process:
            self._writing.do(Path(info.save_dir, LATEST).write_text, info.tag)
        return True


def guard(engine: Any, writing: CheckpointWriting, is_main_process: bool) -> None:
    """`engine`: DeepSpeed's, of which ranks save a checkpoint together."""
    engine.checkpoint_engine = GuardedEngine(engine.checkpoint_engine, writing, is_main_process)
    engine.save_checkpoint = partial(engine.save_checkpoint, save_latest=False)
    engine._copy_recovery_script = partial(writing.do, engine._copy_recovery_script)
