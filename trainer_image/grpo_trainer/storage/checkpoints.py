"""The checkpoints of a run, as they lie in its folder. One counts once its marker is there, which is written last, after every
rank has written its part."""

import contextlib
import logging
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from grpo_contract.failure import PodReason, RunFailure
from grpo_contract.pod import pod_name
from grpo_contract.progress import CheckpointProgress
from grpo_trainer.storage.checkpoint_files import MARKER, NEWEST, SET_ASIDE
from grpo_trainer.storage.marker import DamagedMarkerError, Marker, read_marker
from grpo_trainer.waiting import wait_until

VISIBLE_WITHIN_S: Final = 180.0
"""For all nodes to see what one has written. NFS clients may go by what they remember of a folder for 60 s."""
LOOK_EVERY_S: Final = 0.5
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Checkpoint:
    """A complete checkpoint."""

    folder: Path
    marker: Marker

    @property
    def is_last(self) -> bool:
        """Nothing is left to learn: only the final model is missing."""
        return self.marker.step >= self.marker.max_steps or self.marker.ended_early is not None

    @property
    def trained_step(self) -> int:
        """The step whose model is to be the trained one, when this is the last checkpoint."""
        return self.marker.step if self.marker.best_step is None else self.marker.best_step

    @property
    def trained_model(self) -> Path:
        return folder_of(self.folder.parent, self.trained_step)

    @property
    def progress(self) -> CheckpointProgress:
        return CheckpointProgress(step=self.marker.step, time=self.marker.time)


def folder_of(checkpoints: Path, step: int) -> Path:
    return checkpoints / f"{PREFIX_CHECKPOINT_DIR}-{step}"


def complete_checkpoints(folder: Path) -> list[Checkpoint]:
    """Oldest first. Those whose marker is damaged are left to the next attempt."""
    found = []
    for marked in marked_folders(folder):
        with contextlib.suppress(DamagedMarkerError):
            found.append(Checkpoint(marked, read_marker(marked)))
    return sorted(found, key=lambda checkpoint: checkpoint.marker.step)


def marked_folders(folder: Path) -> list[Path]:
    return [marker.parent for marker in folder.glob(f"{PREFIX_CHECKPOINT_DIR}-*/{MARKER}")]


def newest_checkpoint(folder: Path) -> Checkpoint | None:
    return next(reversed(complete_checkpoints(folder)), None)


def wait_until_visible(checkpoint: Path, deadline_s: float = VISIBLE_WITHIN_S) -> None:
    marker = checkpoint / MARKER
    unseen = RunFailure(
        PodReason.CHECKPOINT_TIMEOUT,
        f"{marker} is there for learner 0, but {pod_name()} has not seen it for {deadline_s:.0f} s: "
        f"look whether both nodes mount the same volume.",
    )
    wait_until(marker.exists, deadline_s, LOOK_EVERY_S, lambda: unseen)


def remember_newest(folder: Path, step: int | None) -> None:
    """None: there is no complete one. A volume that does not take it costs nothing now."""
    with contextlib.suppress(OSError):
        (folder / NEWEST).unlink(missing_ok=True)  # first, or it might go on to name another one
        if step is not None:
            partial = folder / f".{NEWEST}"
            partial.write_text(str(step))
            partial.rename(folder / NEWEST)


def without_marker(folder: Path) -> Path | None:
    """The newest one that was complete, if it has lost its marker since."""
    try:
        newest = folder_of(folder, int((folder / NEWEST).read_text()))
    except (OSError, ValueError):
        return None
    return newest if newest.exists() and not (newest / MARKER).exists() else None


def remove_incomplete(folder: Path, keep: Path | None = None) -> None:
    for checkpoint in folder.glob(f"{PREFIX_CHECKPOINT_DIR}-*"):
        if not (checkpoint / MARKER).exists() and checkpoint != keep:
            log.info("%s is removed: an attempt ended while it wrote it", checkpoint.name)
            shutil.rmtree(checkpoint, ignore_errors=True)


def discard(folder: Path) -> None:
    """Whatever there is of it."""
    with contextlib.suppress(OSError):
        (folder / MARKER).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


def set_aside_folders(folder: Path) -> list[Path]:
    return list(folder.glob(f"{SET_ASIDE}{PREFIX_CHECKPOINT_DIR}-*"))


def remove_set_aside(folder: Path) -> bool:
    """Whether there was any."""
    found = set_aside_folders(folder)
    for damaged in found:
        log.warning("%s is removed, which was damaged and set aside", damaged)
        discard(damaged)
    return bool(found)


def remove(checkpoint: Checkpoint) -> None:
    """Its marker first, for what is half removed must not count. What a network drive does not let go of stays behind
    until the next attempt begins: no reason to end this one."""
    try:
        (checkpoint.folder / MARKER).unlink()
        shutil.rmtree(checkpoint.folder)
    except OSError as error:
        log.warning("%s cannot be removed: %s", checkpoint.folder, error)


def superseded(
    checkpoints: list[Checkpoint], keep: int, save_total_limit: int | None, best_step: int | None = None
) -> list[Checkpoint]:
    """Those that neither recovery nor the recipe wants any more. `checkpoints` are ordered oldest first."""
    recovery = [checkpoint for checkpoint in checkpoints if checkpoint.marker.for_recovery]
    recipe = [checkpoint for checkpoint in checkpoints if checkpoint.marker.for_recipe]
    wanted = recovery[-keep:] + (recipe if save_total_limit is None else recipe[-save_total_limit:])
    return [item for item in checkpoints if item not in wanted and item.marker.step != best_step]
