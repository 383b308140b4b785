"""What one look at a run decided. The executor does it in this order: write, report, delete, and the run itself last."""

from dataclasses import dataclass

from grpo_operator.api.status import GRPORunStatus
from grpo_operator.desired.children import Child
from grpo_operator.reconcile.observed import ObservedChild, ObservedPod


@dataclass(frozen=True)
class LogSource:
    """The container whose last lines go into `status.lastFailure.log`."""

    pod: ObservedPod
    container: str


@dataclass(frozen=True)
class Plan:
    status: GRPORunStatus
    """What the run's status should be; written when it differs from what it is."""
    write: tuple[Child, ...] = ()
    delete: tuple[ObservedChild, ...] = ()
    removes_run: bool = False
    log_source: LogSource | None = None
    look_again_s: float | None = None
    """When to look again although nothing was reported; None when only news matter."""
