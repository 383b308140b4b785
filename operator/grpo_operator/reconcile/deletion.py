"""Which learner somebody deleted, and which the Job controller did after it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from grpo_operator.reconcile.observed import ObservedPod
from grpo_operator.reconcile.termination import follows

LATEST: Final = datetime.max.replace(tzinfo=UTC)
"""Of what has not come, or has no date."""


@dataclass(frozen=True)
class Deletion:
    asked_at: datetime
    pod: ObservedPod

    @property
    def message(self) -> str:
        return f"Pod {self.pod.name} was deleted."


def first_deletion(learners: Iterable[ObservedPod]) -> Deletion | None:
    """The one that was asked for first; None also where that cannot be known yet. Dates have whole seconds, and one is enough to
    save a small step, end, and have the Job controller delete who is left. So in the same second it is that of the pod that
    ended first, of whose end the news may come later, and never that of one which says that it followed another."""
    deletions = [
        Deletion(asked_at, pod)
        for pod in learners
        if (asked_at := pod.deletion_asked_at) and not pod.has_succeeded and not follows(pod)
    ]
    first = min(deletions, key=_order, default=None)
    is_known = first is None or failed_at(first.pod) or [each.asked_at for each in deletions].count(first.asked_at) == 1
    return first if is_known else None


def _order(deletion: Deletion) -> tuple[datetime, datetime, str]:
    return deletion.asked_at, failed_at(deletion.pod) or LATEST, deletion.pod.name


def failed_at(pod: ObservedPod) -> datetime | None:
    """When the first of its containers did."""
    ends = [container.ended for container in pod.containers if container.ended and container.ended.exit_code != 0]
    return min((ended.at for ended in ends if ended.at), default=None)
