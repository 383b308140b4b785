"""Only the newest attempt of a run writes. A learner on a node that answers nobody may train on while its successor does,
and would write over its checkpoints and over the generators' weights. A file in the run's folder says who came last.
"""

import time
from pathlib import Path
from typing import Final

from grpo_contract.failure import PodReason, RunFailure
from grpo_contract.pod import attempt
from grpo_trainer.storage.flushing import flush_one

FILE: Final = "attempt"
READ_WITHIN_S: Final = 30.0
READ_EVERY_S: Final = 0.5


def take_over(run_folder: Path) -> None:
    """For this attempt, from all earlier ones.

    Raises:
        RunFailure: a later one has taken over already, or may have: the file cannot be read.
    """
    _end_if_later(_surely_newest(run_folder))
    partial = run_folder / f".{FILE}"
    partial.write_text(str(attempt()))
    flush_one(partial)
    partial.rename(run_folder / FILE)
    flush_one(run_folder)


def check(run_folder: Path) -> None:
    """
    Raises:
        RunFailure: a later attempt has taken over.
    """
    try:
        newest = _newest(run_folder)
    except OSError:  # a network drive that stutters ends no attempt
        return
    _end_if_later(newest)


def _surely_newest(run_folder: Path) -> int:
    """Who took a drive that stutters for a missing file would write over the number of a later attempt."""
    give_up_at = time.monotonic() + READ_WITHIN_S
    while True:
        try:
            return _newest(run_folder)
        except OSError as error:
            if time.monotonic() >= give_up_at:
                raise RunFailure(PodReason.LEARNER_ERROR, _unreadable(run_folder / FILE, error)) from error
        time.sleep(READ_EVERY_S)


def _newest(run_folder: Path) -> int:
    """0 when no attempt has begun. The file is put in place as a whole: one without a number is damaged, by no attempt."""
    try:
        return int((run_folder / FILE).read_text())
    except (FileNotFoundError, ValueError):
        return 0


def _unreadable(file: Path, error: OSError) -> str:
    return (
        f"{file} cannot be read ({error.strerror}), so attempt {attempt()} does not know whether a later one has begun, and "
        "ends: look at the server of the run's volume."
    )


def _end_if_later(newest: int) -> None:
    if newest > attempt():
        raise RunFailure(
            PodReason.LEARNER_ERROR,
            f"attempt {newest} of the run has begun, so attempt {attempt()} writes nothing more, and ends; there is nothing to do.",
        )
