"""Which checkpoints count, which go, and which one a new attempt resumes from."""

import errno
import os
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from transformers import TrainerState

from grpo_contract.config import CheckpointConfig
from grpo_trainer.storage import keeper as keeper_module
from grpo_trainer.storage.checkpoint_files import MARKER
from grpo_trainer.storage.checkpoints import (
    Checkpoint,
    complete_checkpoints,
    newest_checkpoint,
    remove,
    remove_incomplete,
    superseded,
)
from grpo_trainer.storage.flushing import flush_one
from grpo_trainer.storage.keeper import CheckpointKeeper, CheckpointUser
from grpo_trainer.storage.marker import Marker, write_marker


def marker(step: int, *, recovery: bool = True, recipe: bool = False) -> Marker:
    return Marker(step=step, max_steps=40, time="2026-01-01T00:00:00Z", for_recovery=recovery, for_recipe=recipe)


def write_checkpoint(folder: Path, written: Marker | None, step: int = 0) -> Path:
    checkpoint = folder / f"checkpoint-{written.step if written else step}"
    checkpoint.mkdir()
    (checkpoint / "weights").write_text("w")
    if written is not None:
        write_marker(checkpoint, written)
    return checkpoint


def test_the_newest_complete_one_counts(tmp_path: Path) -> None:
    for step in (10, 9, 100):
        write_checkpoint(tmp_path, marker(step))
    write_checkpoint(tmp_path, None, step=110)
    assert [checkpoint.marker.step for checkpoint in complete_checkpoints(tmp_path)] == [9, 10, 100]
    newest = newest_checkpoint(tmp_path)
    assert newest is not None
    assert newest.folder == tmp_path / "checkpoint-100"
    assert newest.progress.model_dump() == {"step": 100, "time": "2026-01-01T00:00:00Z"}


def test_a_checkpoint_is_on_the_volume_before_older_ones_may_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[tuple[Path, bool]] = []
    folder = write_checkpoint(tmp_path, None, step=20)

    def note(descriptor: int) -> None:
        flushed.append((Path(f"/proc/self/fd/{descriptor}").readlink(), (folder / MARKER).exists()))

    monkeypatch.setattr(os, "fsync", note)
    write_marker(folder, marker(20))
    assert {path for path, is_marked in flushed if not is_marked} == {folder, folder / "weights", folder / f".{MARKER}"}
    assert [path for path, is_marked in flushed if is_marked] == [folder, tmp_path]


def test_a_folder_that_cannot_be_flushed_is_left_to_its_file_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(descriptor: int) -> None:
        raise OSError(next(errors), "refused")

    monkeypatch.setattr(os, "fsync", refuse)
    (tmp_path / "file").touch()
    errors = iter([errno.EINVAL, errno.EINVAL, errno.EIO])
    flush_one(tmp_path)
    with pytest.raises(OSError, match="refused"):
        flush_one(tmp_path / "file")
    with pytest.raises(OSError, match="refused"):
        flush_one(tmp_path)


def test_without_any_there_is_none(tmp_path: Path) -> None:
    assert newest_checkpoint(tmp_path) is None


def test_what_is_half_written_is_removed(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, marker(10))
    write_checkpoint(tmp_path, None, step=20)
    (tmp_path / "completions").mkdir()
    remove_incomplete(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-10", "completions"]


def test_what_cannot_be_removed_does_not_count_and_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As on a network drive, where a file that somebody has open stays under another name."""
    write_checkpoint(tmp_path, marker(10))

    def busy(folder: Path) -> None:
        raise OSError(errno.ENOTEMPTY, "Directory not empty", str(folder))

    monkeypatch.setattr(shutil, "rmtree", busy)
    remove(Checkpoint(tmp_path / "checkpoint-10", marker(10)))
    assert newest_checkpoint(tmp_path) is None
    assert "checkpoint-10 cannot be removed: [Errno 39] Directory not empty" in caplog.text


@pytest.mark.parametrize(("step", "is_last"), [(39, False), (40, True)])
def test_the_last_step(tmp_path: Path, step: int, is_last: bool) -> None:
    assert Checkpoint(tmp_path, marker(step)).is_last is is_last


RECOVERY, RECIPE, BOTH, NOBODY = (True, False), (False, True), (True, True), (False, False)
SUPERSEDED: list[tuple[list[tuple[bool, bool]], int, int | None, list[int]]] = [
    # wanted by (in order of steps 1, 2, ...), keep, save_total_limit, those that go
    ([], 2, None, []),
    ([RECOVERY, RECOVERY], 2, None, []),
    ([RECOVERY, RECOVERY, RECOVERY], 2, None, [1]),
    ([RECOVERY, RECOVERY, RECOVERY], 1, None, [1, 2]),
    ([RECIPE, RECOVERY, RECOVERY], 1, None, [2]),
    ([RECIPE, RECIPE, RECIPE, RECOVERY], 1, 2, [1]),
    ([BOTH, RECOVERY, RECOVERY], 1, None, [2]),
    ([BOTH, BOTH, BOTH], 2, 1, [1]),
    ([RECOVERY, RECIPE], 1, 1, []),
]


@pytest.mark.parametrize(("wanted_by", "keep", "limit", "gone"), SUPERSEDED)
def test_what_nobody_wants_goes(
    wanted_by: list[tuple[bool, bool]], keep: int, limit: int | None, gone: list[int]
) -> None:
    checkpoints = [
        Checkpoint(Path(str(step)), marker(step, recovery=recovery, recipe=recipe))
        for step, (recovery, recipe) in enumerate(wanted_by, 1)
    ]
    assert [checkpoint.marker.step for checkpoint in superseded(checkpoints, keep, limit)] == gone


class Training:
    """Drives a keeper as transformers' Trainer would; `recipe_saves_at` are the steps at which the recipe saves."""

    def __init__(
        self,
        folder: Path,
        recipe_saves_at: tuple[int, ...] = (),
        epoch_ends_at: tuple[int, ...] = (),
        user: CheckpointUser | None = None,
        best_at: tuple[int, ...] = (),
        **arguments: Any,
    ) -> None:
        self.folder = folder
        self.recipe_saves_at = recipe_saves_at
        self.epoch_ends_at = epoch_ends_at
        self.best_at = best_at
        self.args: Any = SimpleNamespace(
            **{"eval_strategy": "no", "save_strategy": "steps", "load_best_model_at_end": False} | arguments
        )
        self.state = TrainerState(stateful_callbacks=[])
        self.keeper = CheckpointKeeper(
            CheckpointConfig(every_steps=2, keep=2),
            folder,
            save_total_limit=None,
            newest=None,
            users=[user] if user else [],
        )
        self.saved: list[int] = []
        self.evaluated: list[int] = []
        self.evaluated_when_saved: dict[int, list[int]] = {}

    def run(self, steps: int) -> "Training":
        for step in range(1, steps + 1):
            self.state.global_step, self.state.max_steps = step, steps
            self.state.epoch = float(step) if step in self.epoch_ends_at else step + 0.5
            control: Any = SimpleNamespace(should_save=step in self.recipe_saves_at, should_training_stop=step == steps)
            self.keeper.on_step_end(self.args, self.state, control)
            if self.args.eval_strategy == "steps":
                self.evaluate(control)
            self.save_if_asked(control)
            if step in self.epoch_ends_at or step == steps:
                control.should_save = self.args.save_strategy == "epoch"
                self.keeper.on_epoch_end(self.args, self.state, control)
                if self.args.eval_strategy == "epoch":
                    self.evaluate(control)
                self.save_if_asked(control)
        return self

    def evaluate(self, control: Any) -> None:
        step = self.state.global_step
        is_best = step in self.best_at
        if is_best:
            self.state.best_global_step = step
        self.evaluated.append(step)
        control.should_save = self.keeper.evaluated(self.args, self.state, is_best)

    def save_if_asked(self, control: Any) -> None:
        step = self.state.global_step
        if control.should_save:
            self.evaluated_when_saved[step] = list(self.evaluated)
            (self.folder / f"checkpoint-{step}").mkdir()
            self.saved.append(step)
            self.keeper.on_save(self.args, self.state, control)
            control.should_save = False

    def kept(self) -> dict[int, tuple[bool, bool]]:
        markers = [checkpoint.marker for checkpoint in complete_checkpoints(self.folder)]
        return {marker.step: (marker.for_recovery, marker.for_recipe) for marker in markers}


def test_every_other_step_and_the_newest_two(tmp_path: Path) -> None:
    training = Training(tmp_path).run(7)
    assert training.saved == [2, 4, 6]
    assert training.kept() == {4: RECOVERY, 6: RECOVERY}
    assert not any(path.name.startswith(".") for path in tmp_path.rglob("*"))


def test_the_recipes_own_stay(tmp_path: Path) -> None:
    training = Training(tmp_path, recipe_saves_at=(1, 2, 5)).run(8)
    assert training.saved == [1, 2, 4, 5, 6, 8]
    assert training.kept() == {1: RECIPE, 2: BOTH, 5: RECIPE, 6: RECOVERY, 8: RECOVERY}


def test_the_end_of_an_epoch_does_not_save_a_step_twice(tmp_path: Path) -> None:
    training = Training(tmp_path, epoch_ends_at=(3, 4), save_strategy="epoch").run(8)
    assert training.saved == [2, 3, 4, 6, 8]
    assert training.kept() == {3: RECIPE, 4: BOTH, 6: RECOVERY, 8: BOTH}


def test_a_step_whose_epoch_is_evaluated_is_saved_after_that(tmp_path: Path) -> None:
    training = Training(tmp_path, epoch_ends_at=(3, 4), eval_strategy="epoch").run(8)
    assert training.evaluated == [3, 4, 8]
    assert training.saved == [2, 4, 6, 8]
    assert training.evaluated_when_saved == {2: [], 4: [3, 4], 6: [3, 4], 8: [3, 4, 8]}


def test_the_best_of_the_evaluations_stays_while_it_is_the_best(tmp_path: Path) -> None:
    training = Training(tmp_path, best_at=(1, 5), eval_strategy="steps", load_best_model_at_end=True)
    training.run(4)
    assert training.kept() == {1: NOBODY, 2: RECOVERY, 4: RECOVERY}
    best = {checkpoint.marker.step: checkpoint.trained_model.name for checkpoint in complete_checkpoints(tmp_path)}
    assert best == {1: "checkpoint-1", 2: "checkpoint-1", 4: "checkpoint-1"}
    assert training.state.best_model_checkpoint == str(tmp_path / "checkpoint-1")


def test_a_new_best_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    training = Training(tmp_path, best_at=(1, 5), eval_strategy="steps", load_best_model_at_end=True).run(8)
    assert training.kept() == {5: NOBODY, 6: RECOVERY, 8: RECOVERY}


def test_an_attempt_that_goes_on_keeps_the_best(tmp_path: Path) -> None:
    Training(tmp_path, best_at=(1,), eval_strategy="steps", load_best_model_at_end=True).run(2)
    keeper = CheckpointKeeper(
        CheckpointConfig(every_steps=2, keep=2), tmp_path, save_total_limit=None, newest=newest_checkpoint(tmp_path)
    )
    keeper.remove_superseded()
    assert [checkpoint.marker.step for checkpoint in complete_checkpoints(tmp_path)] == [1, 2]


def test_each_best_is_the_recipes_where_it_saves_them(tmp_path: Path) -> None:
    training = Training(tmp_path, best_at=(1, 3, 4), eval_strategy="steps", save_strategy="best")
    training.keeper.save_total_limit = 2
    assert training.run(8).kept() == {3: RECIPE, 4: BOTH, 6: RECOVERY, 8: RECOVERY}


class SlowUser:
    """Needs what it was told of until the test says otherwise."""

    def __init__(self) -> None:
        self.told: list[tuple[str, int]] = []
        self.needed: set[Path] = set()

    def checkpoint_saved(self, folder: Path, step: int) -> None:
        assert (folder / MARKER).exists()
        self.told.append((folder.name, step))
        self.needed.add(folder)

    def needs(self, folder: Path) -> bool:
        return folder in self.needed


def test_a_user_is_told_of_the_recipes_checkpoints_alone(tmp_path: Path) -> None:
    user = SlowUser()
    Training(tmp_path, recipe_saves_at=(3,), epoch_ends_at=(4, 5), user=user, save_strategy="epoch").run(8)
    assert user.told == [("checkpoint-3", 3), ("checkpoint-4", 4), ("checkpoint-5", 5), ("checkpoint-8", 8)]


def test_what_a_user_needs_stays(tmp_path: Path) -> None:
    user = SlowUser()
    training = Training(tmp_path, recipe_saves_at=(1, 3), user=user)
    training.keeper.save_total_limit = 1
    training.run(4)
    assert training.kept() == {1: RECIPE, 2: RECOVERY, 3: RECIPE, 4: RECOVERY}
    user.needed.clear()
    training.keeper.remove_superseded()
    assert training.kept() == {2: RECOVERY, 3: RECIPE, 4: RECOVERY}


def test_the_marker_comes_last(tmp_path: Path) -> None:
    checkpoint = write_checkpoint(tmp_path, marker(10))
    assert sorted(path.name for path in checkpoint.iterdir()) == sorted([MARKER, "weights"])
    assert Marker.model_validate_json((checkpoint / MARKER).read_text()) == marker(10)


def test_what_other_ranks_still_write_is_flushed_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "checkpoint-2"
    folder.mkdir()
    flushed: list[set[str]] = []

    class TwoRanks:
        """The other one is done with its part when it waits as well."""

        is_local_main_process = is_main_process = True

        def wait_for_everyone(self) -> None:
            (folder / "rng_state_1.pth").touch()

    monkeypatch.setattr(keeper_module, "PartialState", TwoRanks)
    monkeypatch.setattr(keeper_module, "flush", lambda of: flushed.append({path.name for path in of.iterdir()}))
    keeper = CheckpointKeeper(CheckpointConfig(every_steps=2, keep=2), tmp_path, save_total_limit=None, newest=None)
    keeper.mark(marker(2))
    assert "rng_state_1.pth" in flushed[0]
