"""TensorBoard: event files on the volume."""

import os
from pathlib import Path

from tensorboardX import SummaryWriter

from grpo_trainer.trackers.records import Record, Start, tracked


class TensorboardLog:
    def __init__(self, start: Start) -> None:
        folder = os.environ.get("TENSORBOARD_LOGGING_DIR")
        self.writer = SummaryWriter(str(Path(folder).expanduser() if folder else start.folder / "tensorboard"))

    def log(self, record: Record) -> None:
        for name, value in tracked(record.values).items():
            if isinstance(value, str):
                self.writer.add_text(name, value, record.step)
            else:
                self.writer.add_scalar(name, value, record.step)
        self.writer.flush()

    def finish(self) -> None:
        self.writer.close()
