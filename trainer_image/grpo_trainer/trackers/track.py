"""The process that tracks: `python -m grpo_trainer.trackers.track`, with a Start and then Records as input, until its end."""

import logging
import os
import signal
import sys
from collections.abc import Iterable
from importlib import import_module
from typing import Any, Final, Protocol

from grpo_trainer.instruments.logs import set_up_logging
from grpo_trainer.trackers.records import Record, Start

NICENESS: Final = 10
"""Training has the processors first."""
# {name in report_to: the class that tells it}; each is imported only where it is wanted.
TRACKERS: Final = {
    "wandb": ("wandb_run", "WandbRun"),
    "tensorboard": ("tensorboard_log", "TensorboardLog"),
    "trackio": ("trackio_run", "TrackioRun"),
}

log = logging.getLogger(__name__)


class Tracker(Protocol):
    def log(self, record: Record) -> None: ...
    def finish(self) -> None: ...


def main() -> None:
    os.nice(NICENESS)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the end of the input is the end: what was said is still to be sent
    set_up_logging()
    start = Start.model_validate_json(sys.stdin.readline())
    track(start, map(Record.model_validate_json, sys.stdin))


def track(start: Start, records: Iterable[Record]) -> None:
    trackers = {name: tracker for name in start.trackers if (tracker := attempt(name, open_tracker, name, start))}
    for record in records:
        for name, tracker in trackers.items():
            attempt(name, tracker.log, record)
    for name, tracker in trackers.items():
        attempt(name, tracker.finish)


def open_tracker(name: str, start: Start) -> Tracker:
    module, tracker_class = TRACKERS[name]
    tracker: Tracker = getattr(import_module(f"grpo_trainer.trackers.{module}"), tracker_class)(start)
    return tracker


def attempt(name: str, call: Any, *arguments: Any) -> Any:
    """None where it fails. No tracker's failure is another's, and none ends this process."""
    try:
        return call(*arguments)
    except Exception as error:
        log.warning("%s: %s: %s. Training goes on.", name, type(error).__name__, error)
        return None


if __name__ == "__main__":
    main()
