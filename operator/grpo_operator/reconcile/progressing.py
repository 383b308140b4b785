"""Progressing and WeightsInSync: what learner 0 says of the run, or what keeps it from saying anything."""

from datetime import datetime
from typing import Final

from grpo_contract.progress import Progress, Stage
from grpo_operator.api.run import GRPORun
from grpo_operator.api.status import ConditionType
from grpo_operator.reconcile.conditions import Statement, Truth
from grpo_operator.reconcile.disruption import judge_next_attempt
from grpo_operator.reconcile.reasons import POD_TROUBLES, Reason
from grpo_operator.reconcile.restart import start_of
from grpo_operator.reconcile.world import Reading

UNREADABLE_GRACE_S: Final = 60.0

_BY_STAGE: Final = {
    Stage.LOADING: (Reason.LOADING, "Learners load model and data."),
    Stage.WAITING_FOR_GENERATORS: (Reason.WAITING_FOR_GENERATORS, "Learners wait for a generator that answers."),
    Stage.TRAINING: (Reason.TRAINING, "Steps are being made."),
    Stage.SAVING: (Reason.SAVING, "Training is over; the model is being saved."),
    Stage.EVALUATING: (Reason.EVALUATING, "Training is over and the model is saved; it is being evaluated."),
    Stage.FINISHED: (Reason.SAVING, "The model is saved; learners are ending."),
}
REPORTED: Final = frozenset(reason for reason, _ in _BY_STAGE.values())
"""Reasons of Progressing that learner 0 gave."""

_BEFORE_STEPS: Final = (Stage.LOADING, Stage.WAITING_FOR_GENERATORS)


def is_unreadable(reading: Reading, now: datetime) -> bool:
    since = reading.failing_since
    return since is not None and (now - since).total_seconds() >= UNREADABLE_GRACE_S


def judge_progress(
    run: GRPORun,
    attempt: int,
    progress: Progress | None,
    reading: Reading,
    learners: Statement,
    generators: Statement,
    now: datetime,
) -> Statement:
    """`progress` is what `reading` holds of this attempt."""
    if is_unreadable(reading, now):
        message = (
            f"The progress of learner 0 cannot be read ({reading.error}): "
            "check its node, and the NetworkPolicies between it and the operator."
        )
        return _progressing("Unknown", Reason.PROGRESS_UNREADABLE, message)
    if progress is not None and progress.stage is Stage.TRAINING and not has_made_steps(progress):
        return _progressing("True", Reason.TRAINING, f"The first step of attempt {attempt} is being made.")
    if progress is not None and progress.stage is Stage.SAVING and progress.model is not None:
        return _progressing("True", Reason.SAVING, "The model is saved, and is being pushed to the hub.")
    if progress is not None and progress.stage not in _BEFORE_STEPS:
        return _progressing("True", *_BY_STAGE[progress.stage])
    if progress is not None and has_made_steps(progress):
        message = "All generators were lost, and steps wait for one to be back: GeneratorsReady says what keeps them."
        return _progressing("False", Reason.WAITING_FOR_GENERATORS, message)
    for statement in (learners, generators):
        if statement.reason in POD_TROUBLES:
            return _progressing("False", statement.reason, statement.message)
    is_waiting = progress is not None and progress.stage is Stage.WAITING_FOR_GENERATORS
    if attempt > 1 and not is_waiting:
        return judge_next_attempt(run.status, start_of(run, attempt))
    if progress is None:
        return _progressing("True", Reason.STARTING, "Pods are being created and started.")
    return _progressing("True", *_BY_STAGE[progress.stage])


def has_made_steps(progress: Progress) -> bool:
    """In this attempt: the pace is that of its own steps."""
    return progress.progress.seconds_per_step is not None


def judge_weights(progress: Progress | None, max_staleness: int) -> Statement:
    known = sum(not generator.has_left for generator in progress.generators) if progress else 0
    if progress is None or progress.weight_version is None or not known:
        return Statement(ConditionType.WEIGHTS_IN_SYNC, "Unknown", Reason.NOT_KNOWN_YET, "No weights were sent yet.")
    in_sync = generators_in_sync(progress)
    wanted = (
        "current weights" if max_staleness == 0 else "weights, current or as old as spec.generators.maxStaleness allows"
    )
    message = f"{in_sync} of {known} generators hold the learner's {wanted}."
    if in_sync == known:
        return Statement(ConditionType.WEIGHTS_IN_SYNC, "True", Reason.IN_SYNC, message)
    return Statement(ConditionType.WEIGHTS_IN_SYNC, "False", Reason.OUT_OF_SYNC, message)


def generators_in_sync(progress: Progress) -> int:
    return sum(generator.in_sync for generator in progress.generators)


def _progressing(status: Truth, reason: str, message: str) -> Statement:
    return Statement(ConditionType.PROGRESSING, status, reason, message)
