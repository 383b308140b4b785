"""When a run is complete, and the last that its learner 0 reported."""

from datetime import datetime
from typing import Final

from grpo_contract.progress import Progress
from grpo_operator.reconcile.failure import NEWS_GRACE_S
from grpo_operator.reconcile.observed import ObservedPod
from grpo_operator.reconcile.termination import progress_in
from grpo_operator.reconcile.world import Children

REPORT_GRACE_S: Final = 3.0
"""The Job's completion and its pods come over two watches, in any order."""


def is_complete(children: Children, now: datetime) -> bool:
    """All learners succeeded, and learner 0's last report is there or will not come any more."""
    job = children.job
    if job is None or job.completed_at is None:
        return False
    first, waited_s = children.first_learner, (now - job.completed_at).total_seconds()
    if first is None:
        return waited_s >= REPORT_GRACE_S
    return first.is_over or waited_s >= NEWS_GRACE_S


def final_progress(first_learner: ObservedPod | None) -> Progress | None:
    if first_learner is None:
        return None
    reports = [progress_in(container.ended) for container in first_learner.containers if container.ended]
    return next((report for report in reports if report), None)
