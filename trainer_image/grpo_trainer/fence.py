"""Only the newest attempt of a run writes. A learner on a node that answers nobody may train on while its successor does,
and would write over its checkpoints and over the generators' weights. A file in the run's folder says who came last.
"""

from pathlib import Path
from typing import Final

from grpo_contract.failure import LEARNER_ERROR, RunFailure
from grpo_contract.pod import attempt

FILE: Final = "attempt"


def take_over(run_folder: Path) -> None:
    """For this attempt, from all earlier ones.

    Raises:
        RunFailure: a later one has taken over already.
    """
    check(run_folder)
    partial = run_folder / f".{FILE}"
    partial.write_text(str(attempt()))
    partial.rename(run_folder / FILE)


def check(run_folder: Path) -> None:
    """
    Raises:
        RunFailure: a later attempt has taken over.
    """
    try:
        newest = int((run_folder / FILE).read_text())
    except (OSError, ValueError):  # a network drive that stutters ends no attempt
        return
    if newest > attempt():
        raise RunFailure(
            LEARNER_ERROR, f"attempt {newest} of the run has begun: attempt {attempt()} writes nothing more, and ends."
        )
