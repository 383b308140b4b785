"""Which checkpoint an attempt goes on from when some are damaged."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from grpo_contract.failure import RunFailure, UserError
from grpo_contract.progress import CheckpointHealth, CheckpointTrouble
from grpo_trainer.storage import checksums, resuming, verification
from grpo_trainer.storage.checkpoint_files import MARKER
from grpo_trainer.storage.checkpoints import complete_checkpoints, newest_checkpoint
from grpo_trainer.storage.marker import Marker, write_marker
from grpo_trainer.storage.resuming import check_start, damage_of_best, find_checkpoint
from grpo_trainer.storage.verification import own_sums

STATES = "global_step{step}/zero_pp_rank_0_mp_rank_00_optim_states.pt"


def write_checkpoint(checkpoints: Path, step: int, **marked: Any) -> Path:
    folder = checkpoints / f"checkpoint-{step}"
    (folder / f"global_step{step}").mkdir(parents=True)
    (folder / STATES.format(step=step)).write_text(f"moments of step {step}")
    (folder / "model.safetensors").write_text(f"weights of step {step}")
    facts = {"max_steps": 9, "time": "2026-01-01T00:00:00Z", "for_recovery": True, "for_recipe": False}
    marker = Marker.model_validate(facts | {"step": step, "files": dict(own_sums(folder))} | marked)
    write_marker(folder, marker)
    return folder


@pytest.fixture
def checkpoints(tmp_path: Path) -> Path:
    """Of steps 2, 4 and 6."""
    for step in (2, 4, 6):
        write_checkpoint(tmp_path / "checkpoints", step)
    return tmp_path / "checkpoints"


def turn_a_bit(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[7] ^= 4
    file.write_bytes(content)


def cut_off(file: Path) -> None:
    os.truncate(file, 5)


DAMAGES: list[tuple[str, Callable[[Path], None], str]] = [
    ("model.safetensors", turn_a_bit, "the content of model.safetensors is not what was written"),
    (STATES, turn_a_bit, f"the content of {STATES} is not what was written"),
    ("model.safetensors", cut_off, "model.safetensors has 5 bytes, and was written with 17"),
    (STATES, Path.unlink, f"{STATES} is missing"),
    (MARKER, cut_off, "complete.json cannot be used: it is no JSON of a marker"),
    (MARKER, turn_a_bit, "complete.json cannot be used: its content does not match its checksum"),
]


def damage(checkpoints: Path, step: int, name: str, how: Callable[[Path], None]) -> None:
    how(checkpoints / f"checkpoint-{step}" / name.format(step=step))


def test_the_newest_is_taken_when_it_is_whole(checkpoints: Path) -> None:
    found = find_checkpoint(checkpoints)
    assert found.checkpoint is not None
    assert found.checkpoint.folder == checkpoints / "checkpoint-6"
    assert (found.findings, found.health) == ([], CheckpointHealth())


@pytest.mark.parametrize(("name", "how", "problem"), DAMAGES)
def test_a_damaged_one_gives_way_to_the_one_before(
    name: str, how: Callable[[Path], None], problem: str, checkpoints: Path, caplog: pytest.LogCaptureFixture
) -> None:
    damage(checkpoints, 6, name, how)
    found = find_checkpoint(checkpoints)
    assert found.checkpoint is not None
    assert found.checkpoint.folder == checkpoints / "checkpoint-4"
    assert f"checkpoint-6 is damaged: {problem.format(step=6)}" in caplog.text
    assert found.health.trouble is CheckpointTrouble.DAMAGED
    assert found.health.message == (
        f"checkpoint-6 is not as it was written ({problem.format(step=6)}): the run goes on from step 4. It is set aside in "
        f"{checkpoints}/damaged-checkpoint-6 for as long as there is room; look at the server or the disk of the volume."
    )
    assert sorted(path.name for path in checkpoints.glob("*checkpoint-*")) == [
        "checkpoint-2",
        "checkpoint-4",
        "damaged-checkpoint-6",
    ]


def test_a_damaged_one_is_told_until_there_is_one_as_new(checkpoints: Path) -> None:
    """The attempt that found it may have ended before anybody heard of it."""
    damage(checkpoints, 6, "model.safetensors", turn_a_bit)
    find_checkpoint(checkpoints)
    again = find_checkpoint(checkpoints)
    assert (again.checkpoint, again.findings) == (newest_checkpoint(checkpoints), [])
    assert again.health.trouble is CheckpointTrouble.DAMAGED
    assert again.health.message == (
        "An attempt before this one has found checkpoint-6 damaged, or could not read it: the run goes on from step 4. It lies in "
        f"{checkpoints}/damaged-checkpoint-6 for as long as there is room; look at the server or the disk of the volume."
    )
    write_checkpoint(checkpoints, 5)
    assert find_checkpoint(checkpoints).health == CheckpointHealth()


def test_the_newest_one_without_its_marker_is_damaged(checkpoints: Path) -> None:
    """It was complete: any other without one was never."""
    write_checkpoint(checkpoints, 8)
    find_checkpoint(checkpoints)
    for step in (6, 8):
        (checkpoints / f"checkpoint-{step}" / MARKER).unlink()
    found = find_checkpoint(checkpoints)
    assert found.checkpoint is not None
    assert found.checkpoint.marker.step == 4
    assert found.health.message is not None
    assert (
        "checkpoint-8 is not as it was written (complete.json is missing): the run goes on from step 4."
        in found.health.message
    )
    left = {path.name for path in checkpoints.glob("*checkpoint-*")}
    assert left == {"checkpoint-2", "checkpoint-4", "damaged-checkpoint-8"}


def test_one_that_is_killed_while_it_sets_them_aside_is_followed_by_one_that_tells_of_the_newest(
    checkpoints: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for step in (4, 6):
        damage(checkpoints, step, "model.safetensors", turn_a_bit)

    def be_killed(folder: Path) -> None:
        raise KeyboardInterrupt(folder.name)

    with monkeypatch.context() as killed, pytest.raises(KeyboardInterrupt, match="checkpoint-4"):
        killed.setattr(resuming, "discard", be_killed)
        find_checkpoint(checkpoints)
    found = find_checkpoint(checkpoints)
    assert found.health.message is not None
    assert "checkpoint-6 is not as it was written" in found.health.message
    left = sorted(path.name for path in checkpoints.glob("*checkpoint-*"))
    assert left == ["checkpoint-2", "damaged-checkpoint-6"]


def test_what_is_read_wrong_once_is_read_again(checkpoints: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: Callable[[Path, Callable[[int], None]], checksums.FileSum] = vars(verification)["sum_of"]
    forgotten: list[Path] = []

    def wrong_at_first(file: Path, got_to: Callable[[int], None]) -> checksums.FileSum:
        found = read(file, got_to)
        return found if file in forgotten else found.model_copy(update={"xxh3": "0"})

    monkeypatch.setattr(verification, "sum_of", wrong_at_first)
    monkeypatch.setattr(verification, "forget_cached", forgotten.append)
    found = find_checkpoint(checkpoints)
    assert (found.findings, found.checkpoint) == ([], newest_checkpoint(checkpoints))
    assert len(forgotten) == 2  # both files of it


def test_one_damaged_checkpoint_is_kept_for_whoever_wants_to_look(checkpoints: Path) -> None:
    damage(checkpoints, 6, "model.safetensors", turn_a_bit)
    find_checkpoint(checkpoints)
    write_checkpoint(checkpoints, 5)
    for step in (4, 5):
        damage(checkpoints, step, "model.safetensors", turn_a_bit)
    found = find_checkpoint(checkpoints)
    assert sorted(path.name for path in checkpoints.glob("*checkpoint-*")) == ["checkpoint-2", "damaged-checkpoint-5"]
    assert found.checkpoint is not None
    assert found.checkpoint.marker.step == 2
    assert found.health.message is not None
    assert ", nor is checkpoint-4: the run goes on from step 2." in found.health.message


def test_a_run_without_any_whole_one_begins_anew_and_says_so(checkpoints: Path) -> None:
    for step in (2, 4, 6):
        damage(checkpoints, step, "model.safetensors", turn_a_bit)
    found = find_checkpoint(checkpoints)
    assert found.checkpoint is None
    assert found.health.message is not None
    assert (
        ", nor are checkpoint-4 and checkpoint-2: the run begins anew, for no checkpoint is whole."
        in found.health.message
    )
    left = sorted(path.name for path in checkpoints.glob("*checkpoint-*"))
    assert left == [
        "damaged-checkpoint-2",
        "damaged-checkpoint-4",
        "damaged-checkpoint-6",
    ]  # all that there is of the run


def test_without_any_there_is_nothing_to_say(tmp_path: Path) -> None:
    found = find_checkpoint(tmp_path / "checkpoints")
    assert (found.checkpoint, found.health) == (None, CheckpointHealth())


def test_one_of_an_older_image_is_taken_as_it_is(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    write_checkpoint(tmp_path / "checkpoints", 4, files=None)
    damage(tmp_path / "checkpoints", 4, "model.safetensors", turn_a_bit)
    found = find_checkpoint(tmp_path / "checkpoints")
    assert found.checkpoint is not None
    assert "checkpoint-4 has no checksums, an older image wrote it: it is taken as it is" in caplog.text


@pytest.fixture
def unreadable(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Checkpoints whose files a network drive does not give."""
    names: set[str] = set()
    sum_of = checksums.sum_of

    def read(file: Path, got_to: Callable[[int], None]) -> checksums.FileSum:
        if names & set(file.parts):
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        return sum_of(file, got_to)

    monkeypatch.setattr(verification, "sum_of", read)
    monkeypatch.setattr(verification, "READ_ON_WITHIN_S", 2.0)
    monkeypatch.setattr(verification, "READ_AGAIN_S", 0.01)
    monkeypatch.setattr(verification, "ROUND_S", 0.05)
    return names


def test_one_that_cannot_be_read_gives_way_where_another_is_whole(checkpoints: Path, unreadable: set[str]) -> None:
    unreadable.add("checkpoint-6")
    found = find_checkpoint(checkpoints)
    assert found.checkpoint is not None
    assert found.checkpoint.marker.step == 4
    problem = f"{STATES.format(step=6)} cannot be read (Stale file handle)"
    assert found.health.message is not None
    assert (
        f"checkpoint-6 cannot be read now, and may be whole ({problem}): the run goes on from step 4."
        in found.health.message
    )


def test_one_that_cannot_be_read_is_never_removed(checkpoints: Path, unreadable: set[str]) -> None:
    """It may be whole."""
    damage(checkpoints, 6, "model.safetensors", turn_a_bit)
    unreadable.add("checkpoint-4")
    found = find_checkpoint(checkpoints)
    assert found.checkpoint is not None
    assert found.checkpoint.marker.step == 2
    assert (checkpoints / "damaged-checkpoint-4" / MARKER).exists()
    assert (checkpoints / "damaged-checkpoint-6" / MARKER).exists()


def test_a_volume_that_gives_nothing_costs_no_checkpoint(checkpoints: Path, unreadable: set[str]) -> None:
    unreadable.update(f"checkpoint-{step}" for step in (2, 4, 6))
    with pytest.raises(RunFailure) as caught:
        find_checkpoint(checkpoints)
    assert caught.value.failure.reason == "LearnerError"
    assert str(caught.value) == (
        f"checkpoint-6: {STATES.format(step=6)} cannot be read (Stale file handle), and there is no other checkpoint that is "
        "whole; it may be, so the run does not begin anew: look at the server of the run's volume. Another attempt looks again."
    )
    assert [checkpoint.marker.step for checkpoint in complete_checkpoints(checkpoints)] == [2, 4, 6]


def test_a_drive_that_stutters_is_asked_again(
    checkpoints: Path, unreadable: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verification, "READ_ON_WITHIN_S", 60)
    tries = iter(range(3))
    read: Callable[[Path, Callable[[int], None]], checksums.FileSum] = vars(verification)["sum_of"]

    def recovers(file: Path, got_to: Callable[[int], None]) -> checksums.FileSum:
        unreadable.clear() if next(tries, None) is None else None
        return read(file, got_to)

    unreadable.add("checkpoint-6")
    monkeypatch.setattr(verification, "sum_of", recovers)
    found = find_checkpoint(checkpoints)
    assert found.checkpoint is not None
    assert found.checkpoint.marker.step == 6


def test_a_start_is_whole(checkpoints: Path) -> None:
    check_start(checkpoints / "checkpoint-6")
    damage(checkpoints, 6, "model.safetensors", turn_a_bit)
    with pytest.raises(UserError) as caught:
        check_start(checkpoints / "checkpoint-6")
    assert str(caught.value) == (
        f"spec.recipe.resume_from_checkpoint: '{checkpoints}/checkpoint-6' is damaged, the content of model.safetensors is not what "
        "was written; name another checkpoint."
    )
    (checkpoints / "checkpoint-6" / MARKER).unlink()  # as of a training that knew none
    check_start(checkpoints / "checkpoint-6")


def test_what_cannot_be_read_is_not_called_damaged(checkpoints: Path, unreadable: set[str]) -> None:
    unreadable.add("checkpoint-6")
    with pytest.raises(RunFailure, match="checkpoint-6, from which the run starts, cannot be checked") as caught:
        check_start(checkpoints / "checkpoint-6")
    assert caught.type is RunFailure
    with pytest.raises(RunFailure, match="checkpoint-6, which has the best model, cannot be checked"):
        damage_of_best(checkpoints / "checkpoint-6")


@pytest.mark.parametrize("is_damaged", [False, True])
def test_the_best_model_of_the_last_checkpoint_is_whole_or_not_taken(is_damaged: bool, checkpoints: Path) -> None:
    write_checkpoint(checkpoints, 9, best_step=4)
    if is_damaged:
        damage(checkpoints, 4, "model.safetensors", turn_a_bit)
    found = find_checkpoint(checkpoints)
    assert found.checkpoint is not None
    assert found.checkpoint.is_last
    assert found.checkpoint.trained_model == checkpoints / ("checkpoint-9" if is_damaged else "checkpoint-4")
    assert (found.health.trouble is CheckpointTrouble.DAMAGED) is is_damaged
    if is_damaged:
        assert "checkpoint-4 is not as it was written" in str(found.health.message)
        assert (checkpoints / "damaged-checkpoint-4").exists()
        again = find_checkpoint(checkpoints).checkpoint  # by an attempt after one that ended before the model was saved
        assert again is not None
        assert again.trained_model == checkpoints / "checkpoint-9"
        assert (checkpoints / "damaged-checkpoint-4").exists()
