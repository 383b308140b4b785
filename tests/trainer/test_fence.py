"""Which attempt of a run may write."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from transformers import Trainer, TrainerState

from grpo_contract import environment
from grpo_contract.config import CheckpointConfig
from grpo_contract.failure import RunFailure
from grpo_trainer.learner import Learner
from grpo_trainer.storage import fence
from grpo_trainer.storage.checkpoint_files import MARKER
from grpo_trainer.storage.final_model import put_in_place
from grpo_trainer.storage.keeper import CheckpointKeeper
from grpo_trainer.storage.resuming import find_checkpoint

WORDS = "^attempt 3 of the run has begun, so attempt 2 writes nothing more, and ends; there is nothing to do\\.$"


@pytest.fixture
def be_attempt(monkeypatch: pytest.MonkeyPatch) -> Any:
    return lambda number: monkeypatch.setenv(environment.ATTEMPT, str(number))


def keeper(checkpoints: Path) -> CheckpointKeeper:
    return CheckpointKeeper(CheckpointConfig(every_steps=2, keep=2), checkpoints, save_total_limit=None, newest=None)


def test_a_later_attempt_takes_over_from_an_earlier_one(tmp_path: Path, be_attempt: Any) -> None:
    for number in (1, 3):
        be_attempt(number)
        find_checkpoint(tmp_path / "checkpoints")
        fence.check(tmp_path)
    assert (tmp_path / "attempt").read_text() == "3"
    be_attempt(2)
    with pytest.raises(RunFailure, match=WORDS):
        find_checkpoint(tmp_path / "checkpoints")
    assert (tmp_path / "attempt").read_text() == "3"


def test_who_came_last_outlives_a_lost_node(tmp_path: Path, be_attempt: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty file would let an earlier attempt take over."""
    flushed: list[tuple[Path, str | None]] = []
    number = tmp_path / "attempt"

    def note(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        flushed.append((path, number.read_text() if number.exists() else None))

    monkeypatch.setattr(os, "fsync", note)
    be_attempt(2)
    fence.take_over(tmp_path)
    assert flushed == [(tmp_path / ".attempt", None), (tmp_path, "2")]


def test_an_earlier_attempt_removes_nothing(tmp_path: Path, be_attempt: Any) -> None:
    being_written = tmp_path / "checkpoints" / "checkpoint-4"
    be_attempt(3)
    find_checkpoint(tmp_path / "checkpoints")
    being_written.mkdir()
    be_attempt(2)
    with pytest.raises(RunFailure):
        find_checkpoint(tmp_path / "checkpoints")
    assert being_written.exists()


def test_an_earlier_attempt_makes_no_step_and_marks_no_checkpoint(tmp_path: Path, be_attempt: Any) -> None:
    checkpoint = tmp_path / "checkpoints" / "checkpoint-4"
    checkpoint.mkdir(parents=True)
    args: Any = SimpleNamespace(load_best_model_at_end=False)
    state = TrainerState(global_step=4, max_steps=8, stateful_callbacks=[])
    control: Any = SimpleNamespace(should_save=False)
    old = keeper(tmp_path / "checkpoints")
    be_attempt(2)
    old.on_step_begin(None, state, control)

    be_attempt(3)
    fence.take_over(tmp_path)
    be_attempt(2)
    with pytest.raises(RunFailure, match=WORDS):
        old.on_step_begin(None, state, control)
    with pytest.raises(RunFailure, match=WORDS):
        old.on_save(args, state, control)
    assert not (checkpoint / MARKER).exists()


def test_an_earlier_attempt_writes_nothing_of_a_checkpoint(
    tmp_path: Path, be_attempt: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked to end, it comes to no step any more. A later one may have a whole checkpoint of the same name."""
    written: list[str] = []
    monkeypatch.setattr(Trainer, "_save_checkpoint", lambda *_, **__: written.append("by transformers"))
    old: Any = Learner.__new__(Learner)
    old.keeper = keeper(tmp_path / "checkpoints")
    be_attempt(3)
    fence.take_over(tmp_path)
    be_attempt(2)
    with pytest.raises(RunFailure, match=WORDS):
        old._save_checkpoint(None, trial=None)
    assert written == []


def test_an_earlier_attempt_puts_no_model_in_place(tmp_path: Path, be_attempt: Any) -> None:
    (tmp_path / ".model.partial").mkdir()
    be_attempt(3)
    fence.take_over(tmp_path)
    be_attempt(2)
    config: Any = None
    with pytest.raises(RunFailure, match=WORDS):
        put_in_place(tmp_path / ".model.partial", tmp_path / "model", config, 8)
    assert not (tmp_path / "model").exists()


@pytest.fixture
def fail_to_read(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """So many times, as a network drive does whose server has lost the file's handle."""

    def begin(times: int) -> None:
        read, failures = Path.read_text, iter(range(times))

        def read_text(path: Path, *arguments: Any, **options: Any) -> str:
            if next(failures, None) is not None:
                raise OSError(errno.ESTALE, "Stale file handle", str(path))
            return read(path, *arguments, **options)

        monkeypatch.setattr(Path, "read_text", read_text)

    return begin


def test_a_drive_that_stutters_lets_no_earlier_attempt_take_over(
    tmp_path: Path, be_attempt: Any, fail_to_read: Callable[[int], None]
) -> None:
    be_attempt(3)
    fence.take_over(tmp_path)
    be_attempt(2)
    fail_to_read(2)
    with pytest.raises(RunFailure, match=WORDS):
        fence.take_over(tmp_path)
    assert (tmp_path / "attempt").read_text() == "3"


def test_who_cannot_know_whether_a_later_attempt_has_begun_ends(
    tmp_path: Path, be_attempt: Any, fail_to_read: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fence, "READ_WITHIN_S", 0.0)
    be_attempt(2)
    fence.take_over(tmp_path)
    be_attempt(3)
    fail_to_read(2)
    with pytest.raises(RunFailure, match=r"attempt cannot be read \(Stale file handle\), so attempt 3 does not know"):
        fence.take_over(tmp_path)
    assert (tmp_path / "attempt").read_bytes() == b"2"


@pytest.mark.parametrize("content", ["", "no number"])
def test_a_damaged_file_is_written_anew(tmp_path: Path, be_attempt: Any, content: str) -> None:
    (tmp_path / "attempt").write_text(content)
    be_attempt(2)
    fence.take_over(tmp_path)
    assert (tmp_path / "attempt").read_text() == "2"


def test_a_drive_that_stutters_ends_no_attempt(
    tmp_path: Path, be_attempt: Any, fail_to_read: Callable[[int], None]
) -> None:
    be_attempt(3)
    fence.take_over(tmp_path)
    be_attempt(2)
    fail_to_read(1)
    fence.check(tmp_path)


@pytest.mark.parametrize("content", [None, "", "no number"])
def test_what_cannot_be_read_ends_no_attempt(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "attempt").write_text(content)
    fence.check(tmp_path)
