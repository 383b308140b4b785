"""Writes the second checkpoint of a run again and again, killed one operation later each time, until it is not killed.

killed_writer.py FOLDER

Operations are those of files and folders that Python tells its audit hooks of, and each piece of a file's content. Prints a
JSON list: of each try, the step that an attempt after it goes on from, and what else there was.
"""

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

from transformers import TrainerState

from grpo_contract.config import CheckpointConfig
from grpo_trainer.storage.checkpoints import newest_checkpoint
from grpo_trainer.storage.keeper import CheckpointKeeper
from grpo_trainer.storage.resuming import find_checkpoint

OF_FILES: Final = ("open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.scandir")
FILES: Final = ("model.safetensors", "rng_state.pth", "global_step{step}/zero_pp_rank_0_mp_rank_00_optim_states.pt")
NUM_PIECES: Final = 3


def write_checkpoint(checkpoints: Path, step: int, operation: Callable[[], None]) -> None:
    folder = checkpoints / f"checkpoint-{step}"
    for name in FILES:
        file = folder / name.format(step=step)
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("wb", buffering=0) as opened:
            for piece in range(NUM_PIECES):
                operation()
                opened.write(f"piece {piece} of step {step}".encode())
    keeper = CheckpointKeeper(
        CheckpointConfig(every_steps=2, keep=1), checkpoints, None, newest_checkpoint(checkpoints)
    )
    arguments: Any = SimpleNamespace(load_best_model_at_end=False)
    keeper.for_recovery = True
    keeper.on_save(arguments, TrainerState(global_step=step, max_steps=8, stateful_callbacks=[]), arguments)


def killed_after(num_operations: int, checkpoints: Path) -> bool:
    """Whether it was killed, and did not end by itself."""
    child = os.fork()
    if child == 0:
        left = iter(range(num_operations))

        def operation() -> None:
            if next(left, None) is None:
                os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(lambda event, arguments: operation() if event in OF_FILES else None)
        write_checkpoint(checkpoints, 4, operation)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, status
    return os.WIFSIGNALED(status)


def main() -> None:
    folder = Path(sys.argv[1])
    write_checkpoint(folder / "before" / "checkpoints", 2, lambda: None)
    found = []
    for num_operations in count():
        tried = folder / str(num_operations)
        shutil.copytree(folder / "before", tried)
        was_killed = killed_after(num_operations, tried / "checkpoints")
        result = find_checkpoint(tried / "checkpoints")
        found.append(
            {
                "step": result.checkpoint and result.checkpoint.marker.step,
                "problems": [finding.problem for finding in result.findings],
                "left": sorted(path.name for path in (tried / "checkpoints").glob("*checkpoint-*")),
                "was killed": was_killed,
            }
        )
        if not was_killed:
            break
    print(json.dumps(found))


if __name__ == "__main__":
    main()
