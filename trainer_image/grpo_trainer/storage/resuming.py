"""Which checkpoint an attempt goes on from: the newest that is whole.

What is damaged is set aside: it keeps its content for whoever wants to know what happened, under a name that no attempt looks
at. Only the newest such folder stays, and it goes when the volume is full.
"""

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from accelerate import PartialState

from grpo_contract.failure import PodReason, RunFailure
from grpo_contract.progress import CheckpointHealth, CheckpointTrouble
from grpo_trainer.decisions import decided_by_rank_0
from grpo_trainer.storage import fence
from grpo_trainer.storage.checkpoint_files import MARKER, SET_ASIDE
from grpo_trainer.storage.checkpoints import (
    Checkpoint,
    discard,
    marked_folders,
    remember_newest,
    remove_incomplete,
    remove_set_aside,
    set_aside_folders,
    wait_until_visible,
    without_marker,
)
from grpo_trainer.storage.marker import DamagedMarkerError, read_marker
from grpo_trainer.storage.starting_checkpoint import unsuitable
from grpo_trainer.storage.verification import Finding, find_damage

REMEDY: Final = "for as long as there is room; look at the server or the disk of the volume."

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Candidate:
    """A folder with a marker, before its content is looked at."""

    folder: Path
    checkpoint: Checkpoint | None
    problem: str = ""
    """Of its marker, where that says nothing."""


@dataclass(frozen=True)
class Found:
    checkpoint: Checkpoint | None
    """None: the run begins at its beginning."""
    findings: Sequence[Finding]
    """What is wrong with newer ones, the newest first."""
    set_aside: Path | None = None
    """One that an attempt before this one has found so, and none was written since. Whether anybody heard of it is not known.
    Only rank 0 has it."""

    @property
    def health(self) -> CheckpointHealth:
        if self.findings:
            return health_of(self.findings, self.checkpoint)
        return CheckpointHealth() if self.set_aside is None else health_since(self.set_aside, self.checkpoint)


def find_checkpoint(folder: Path) -> Found:
    """The newest whole one, after what an earlier attempt left half written is removed. A collective.

    Raises:
        RunFailure: there are checkpoints, and none can be read; this rank does not see the one that is found within
            VISIBLE_WITHIN_S; or a later attempt has begun.
    """

    def candidates_of_rank_0() -> list[Candidate]:
        folder.mkdir(parents=True, exist_ok=True)
        fence.take_over(folder.parent)
        lost = without_marker(folder)
        remove_incomplete(folder, keep=lost)
        return candidates(folder, lost)

    findings: list[Finding] = []
    checkpoint = first_whole(decided_by_rank_0(candidates_of_rank_0), findings)
    unreadable = [finding for finding in findings if not finding.is_damage]
    if checkpoint is None and unreadable:
        raise RunFailure(PodReason.LEARNER_ERROR, _no_answer(unreadable[0]))
    if checkpoint is not None:
        checkpoint = with_whole_model(checkpoint, findings)
    if findings:
        PartialState().wait_for_everyone()  # all have looked at what is to be renamed
    if not PartialState().is_main_process:
        return Found(checkpoint, findings)
    set_aside(findings, checkpoint)
    remember_newest(folder, checkpoint.marker.step if checkpoint else None)
    return Found(checkpoint, findings, None if findings else set_aside_since(folder, checkpoint))


def candidates(folder: Path, lost: Path | None) -> list[Candidate]:
    """Newest first. `lost`: one without its marker."""
    found = [*marked_folders(folder), *([lost] if lost else [])]
    return [candidate_of(each) for each in sorted(found, key=step_of, reverse=True)]


def step_of(folder: Path) -> int:
    number = re.search(r"\d+\Z", folder.name)
    return int(number[0]) if number else 0


def candidate_of(folder: Path) -> Candidate:
    try:
        return Candidate(folder, Checkpoint(folder, read_marker(folder)))
    except DamagedMarkerError as error:
        return Candidate(folder, None, f"{MARKER} cannot be used: {error}")
    except FileNotFoundError:
        return Candidate(folder, None, f"{MARKER} is missing")


def first_whole(found: Sequence[Candidate], findings: list[Finding]) -> Checkpoint | None:
    """What is wrong with those before it is added to `findings`. A collective."""
    for candidate in found:
        finding = finding_of(candidate)
        if finding is None:
            return candidate.checkpoint
        log.warning(
            "%s %s: %s", finding.folder.name, "is damaged" if finding.is_damage else "is unreadable", finding.problem
        )
        findings.append(finding)
    return None


def finding_of(candidate: Candidate) -> Finding | None:
    """A collective."""
    if candidate.checkpoint is None:
        return Finding(candidate.folder, candidate.problem)
    wait_until_visible(candidate.folder)
    if candidate.checkpoint.marker.files is None:
        log.info("%s has no checksums, an older image wrote it: it is taken as it is", candidate.folder.name)
        return None
    return find_damage(candidate.folder, candidate.checkpoint.marker.files)


def with_whole_model(checkpoint: Checkpoint, findings: list[Finding]) -> Checkpoint:
    """One after the last step, without the best model where that one is damaged: its own takes its place. A collective."""
    if not checkpoint.is_last or checkpoint.trained_model == checkpoint.folder:
        return checkpoint
    finding = damage_of_best(checkpoint.trained_model)
    if finding is None:
        return checkpoint
    findings.append(finding)
    return replace(checkpoint, marker=checkpoint.marker.model_copy(update={"best_step": None}))


def damage_of_best(folder: Path) -> Finding | None:
    """What is wrong with the checkpoint of the best model. A collective.

    Raises:
        RunFailure: it cannot be read, and may be whole.
    """
    return _damage_of(folder, "which has the best model")


def check_start(folder: Path) -> None:
    """Of another run, or of a training that knew no markers. A collective.

    Raises:
        UserError: it is damaged.
        RunFailure: it cannot be read, and may be whole.
    """
    if not decided_by_rank_0((folder / MARKER).exists):
        return
    finding = _damage_of(folder, "from which the run starts")
    if finding is not None:
        raise unsuitable(folder, f"is damaged, {finding.problem}", "name another checkpoint")


def _damage_of(folder: Path, what: str) -> Finding | None:
    finding = finding_of(decided_by_rank_0(lambda: candidate_of(folder)))
    if finding is not None and not finding.is_damage:
        problem = f"{folder.name}, {what}, cannot be checked ({finding.problem})"
        raise RunFailure(PodReason.LEARNER_ERROR, f"{problem}: look at the server of the run's volume.")
    return finding


def without_best(finding: Finding) -> CheckpointHealth:
    return CheckpointHealth(
        trouble=CheckpointTrouble.DAMAGED,
        message=f"{finding.folder.name}, which has the best model, is not as it was written ({finding.problem}): the trained model "
        "is that of the last step. Look at the server or the disk of the volume.",
    )


def set_aside(findings: Sequence[Finding], checkpoint: Checkpoint | None) -> None:
    """The newest of them, in the place of what was set aside before, and what may be whole; the others go, unless they are all that
    is left of the run."""
    there = [finding for finding in findings if finding.folder.exists()]
    if not there:
        return
    newest = there[0].folder
    remove_set_aside(newest.parent)
    for finding in reversed(
        there
    ):  # the newest last: an attempt that is killed meanwhile leaves it to be found once more
        folder = finding.folder
        if folder == newest or not finding.is_damage or checkpoint is None:
            folder.rename(folder.with_name(SET_ASIDE + folder.name))
        else:
            log.warning("%s is removed: it is damaged as well", folder.name)
            discard(folder)


def set_aside_since(folder: Path, checkpoint: Checkpoint | None) -> Path | None:
    """The newest, if it was renamed after the checkpoint was complete: by the time of the volume's server."""
    found = max(set_aside_folders(folder), key=step_of, default=None)
    if found is None or checkpoint is None:
        return found
    return found if found.stat().st_ctime_ns > (checkpoint.folder / MARKER).stat().st_mtime_ns else None


def _no_answer(finding: Finding) -> str:
    return (
        f"{finding.folder.name}: {finding.problem}, and there is no other checkpoint that is whole; it may be, so the run does not "
        "begin anew: look at the server of the run's volume. Another attempt looks again."
    )


def health_of(findings: Sequence[Finding], checkpoint: Checkpoint | None) -> CheckpointHealth:
    if not findings:
        return CheckpointHealth()
    newest, *others = findings
    state = "is not as it was written" if newest.is_damage else "cannot be read now, and may be whole"
    names = " and ".join(other.folder.name for other in others)
    more = f", nor {'is' if len(others) == 1 else 'are'} {names}" if others else ""
    return CheckpointHealth(
        trouble=CheckpointTrouble.DAMAGED,
        message=f"{newest.folder.name} {state} ({newest.problem}){more}: the run {_going_on(checkpoint)}. It is set aside "
        f"in {newest.folder.with_name(SET_ASIDE + newest.folder.name)} {REMEDY}",
    )


def health_since(damaged: Path, checkpoint: Checkpoint | None) -> CheckpointHealth:
    name = damaged.name.removeprefix(SET_ASIDE)
    return CheckpointHealth(
        trouble=CheckpointTrouble.DAMAGED,
        message=f"An attempt before this one has found {name} damaged, or could not read it: the run {_going_on(checkpoint)}. It "
        f"lies in {damaged} {REMEDY}",
    )


def _going_on(checkpoint: Checkpoint | None) -> str:
    return f"goes on from step {checkpoint.marker.step}" if checkpoint else "begins anew, for no checkpoint is whole"
