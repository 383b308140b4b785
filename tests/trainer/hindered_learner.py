"""A rank of scripted_learner.py's run whose writes to the volume are hindered between two steps, and not after.

hindered_learner.py CONFIG zero3 OUT HOW RANK: `volume` fills the volume to its last byte, `files` has the process of RANK write
no file beyond a size.
"""

import os
import resource
import sys
from pathlib import Path
from typing import Any, Final

from grpo_contract.files import VOLUME
from trainer import scripted_learner

HOW, RANK = sys.argv[4], int(sys.argv[5])
HINDERED: Final = range(3, 6)
"""Steps at whose end the volume takes nothing."""
FILLER: Final = Path(VOLUME, "filler")
LARGEST_BYTES: Final = 1 << 17
"""More than the log has, and less than a rank's part of a checkpoint."""


class HinderedLearner(scripted_learner.ExaminedLearner):
    def training_step(self, *args: Any, **kwargs: Any) -> Any:
        if self.args.process_index == RANK:
            hinder(self.state.global_step + 1)
        return super().training_step(*args, **kwargs)


def hinder(step: int) -> None:
    if step == HINDERED.stop - 1:
        print(
            "what stays:",
            sorted(path.name for path in Path(VOLUME).glob("runs/*/checkpoints/*checkpoint-*")),
            flush=True,
        )
    if HOW == "files":
        limit = LARGEST_BYTES if step in HINDERED else resource.RLIM_INFINITY
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    elif step == HINDERED.start:
        fill()
    elif step == HINDERED.stop:
        FILLER.unlink()


def fill() -> None:
    with FILLER.open("wb", buffering=0) as filler:
        for size in (1 << 16, 1):
            try:
                while filler.write(b"\0" * size):
                    pass
            except OSError:
                continue
        os.fsync(filler.fileno())


if __name__ == "__main__":
    scripted_learner.replace(scripted_learner, ExaminedLearner=HinderedLearner)
    scripted_learner.main()
