"""What is pushed when, and to where: decisions without the hub."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from grpo_trainer.hub.settings import HubSettings, Strategy
from grpo_trainer.storage.checkpoint_files import MARKER, PARTIAL_MARKER, is_needed_to_resume

LAST_CHECKPOINT: Final = "last-checkpoint"
MOST_WAITING: Final = 2
"""Checkpoints: each stays on the volume that long, and a volume that is full would end the run."""


@dataclass(frozen=True)
class Push:
    folder: Path
    branch: str
    message: str
    what: str
    """For people."""
    checkpoint_to: str | None = None
    """Folder of the repository for the whole checkpoint, beside the model in its root."""
    is_guarded: bool = False
    is_final: bool = False
    may_be_passed_over: bool = False
    """For a newer one of its kind."""


def pushes_of_checkpoint(settings: HubSettings, folder: Path, step: int) -> list[Push]:
    pushes = []
    if settings.strategy not in (None, Strategy.END):
        pushes.append(
            Push(
                folder,
                settings.branch,
                message=f"Training in progress, step {step}",
                what=f"the checkpoint of step {step}",
                checkpoint_to={Strategy.CHECKPOINT: LAST_CHECKPOINT, Strategy.ALL_CHECKPOINTS: folder.name}.get(
                    settings.strategy
                ),
                is_guarded=settings.is_guarded,
                may_be_passed_over=settings.strategy is not Strategy.ALL_CHECKPOINTS and not settings.always_pushes,
            )
        )
    if settings.has_branch_per_checkpoint:
        branch = f"{settings.branch}-step-{step:09d}"
        pushes.append(Push(folder, branch, message=f"Add {branch} checkpoint", what=f"the checkpoint of step {step}"))
    return pushes


def push_of_model(settings: HubSettings, folder: Path) -> Push | None:
    if settings.strategy is None:
        return None
    return Push(
        folder,
        settings.branch,
        message="End of training",
        what="the trained model",
        is_guarded=settings.is_guarded,
        is_final=True,
    )


def with_push(waiting: Iterable[Push], push: Push) -> tuple[list[Push], list[Push]]:
    """What waits once `push` does, in its order, and what is passed over for it."""
    before = [*waiting, push]
    passed_over = [other for other in before[:-1] if other.may_be_passed_over and push.may_be_passed_over]
    kept = [other for other in before if other not in passed_over]
    folders = list(dict.fromkeys(other.folder for other in kept if not other.is_final))
    crowded = folders[:-MOST_WAITING]
    return (
        [other for other in kept if other.folder not in crowded],
        passed_over + [other for other in kept if other.folder in crowded],
    )


def files_of(push: Push) -> dict[str, Path]:
    """{path in the repository: file}."""
    entries = [path for path in push.folder.iterdir() if path.is_file()]
    model = {path.name: path for path in entries if not is_needed_to_resume(path.name)}
    return model if push.checkpoint_to is None else model | whole_checkpoint(push.folder, push.checkpoint_to)


def whole_checkpoint(folder: Path, to: str) -> dict[str, Path]:
    files = [path for path in folder.rglob("*") if path.is_file() and path.name not in (MARKER, PARTIAL_MARKER)]
    return {f"{to}/{path.relative_to(folder)}": path for path in files}
