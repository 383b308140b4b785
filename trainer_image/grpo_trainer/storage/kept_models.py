"""Models of the recipe's checkpoints, kept for benchmarks: those are slower than training, and checkpoints give way.

A kept model is made of links to the checkpoint's files, so that it takes room only once the checkpoint is gone; where the
volume has no links, of copies. Who benchmarked a model removes it, and leaves its folder with the results.
"""

import logging
import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from grpo_contract.benchmarks import MODEL_FOLDER, MOST_KEPT, step_of, target_of
from grpo_trainer.storage import fence
from grpo_trainer.storage.checkpoint_files import NEEDED_TO_RESUME
from grpo_trainer.storage.checkpoints import Checkpoint
from grpo_trainer.storage.flushing import put_in_place

READABLE: Final = 0o444
"""safetensors lets the owner alone read, who may be nobody in a benchmark's pod."""

log = logging.getLogger(__name__)


class KeptModels:
    """Wants the recipe's checkpoints for as long as it takes to link them. Of rank 0."""

    def __init__(self, folder: Path, told: Callable[[list[int]], None], saved: Iterable[Checkpoint] = ()) -> None:
        """`folder`: of the run's benchmarks. `told`: of the steps whose models wait there, now and after each new one.
        `saved`: by earlier attempts, which may have ended before they kept the model."""
        self.folder = folder
        self.told = told
        for partial in folder.glob(".*.partial"):
            shutil.rmtree(partial, ignore_errors=True)
        for checkpoint in saved:
            if checkpoint.marker.for_recipe:
                self._keep(checkpoint.folder, checkpoint.marker.step)
        told(self.steps())

    def checkpoint_saved(self, folder: Path, step: int) -> None:
        self._keep(folder, step)
        self._let_oldest_go()
        self.told(self.steps())

    def needs(self, folder: Path) -> bool:
        return False

    def steps(self) -> list[int]:
        """Oldest first."""
        targets = [model.parent.name for model in self.folder.glob(f"*/{MODEL_FOLDER}")]
        return sorted(step for target in targets if (step := step_of(target)) is not None)

    def _keep(self, folder: Path, step: int) -> None:
        """The first model of a step counts: an attempt that makes the step again finds it kept, or benchmarked already.
        Trouble with the volume costs a benchmark, and not the run."""
        target = self.folder / target_of(step)
        if target.exists():
            return
        fence.check(self.folder.parent)
        partial = self.folder / f".{target.name}.partial"
        try:
            partial.mkdir(parents=True)
            ignore = shutil.ignore_patterns(*NEEDED_TO_RESUME)
            shutil.copytree(folder, partial / MODEL_FOLDER, ignore=ignore, copy_function=link_or_copy)
            put_in_place(partial, target)
        except OSError as error:
            shutil.rmtree(partial, ignore_errors=True)
            log.warning("the model of step %d is not kept, and will not be benchmarked: %s", step, error)

    def _let_oldest_go(self) -> None:
        for step in self.steps()[:-MOST_KEPT]:
            log.warning("the model of step %d gives way to newer ones: benchmarks are slower than checkpoints", step)
            shutil.rmtree(self.folder / target_of(step) / MODEL_FOLDER, ignore_errors=True)


def link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
    os.chmod(target, os.stat(target).st_mode | READABLE)
