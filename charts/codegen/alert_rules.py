"""Building blocks of alert rules: what a rule is, and queries that keep the labels by which alerts are routed.

Every alert about a run has the labels `namespace` and `run`, whoever told of it: learner 0, or the operator, which tells of runs
whose learners are gone.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from grpo_operator.api.status import ConditionType
from grpo_operator.reconcile.reasons import Reason

RUNBOOKS: Final = "docs/runbooks"


class Severity(StrEnum):
    CRITICAL = "critical"
    """The run stands still, or learns what is worthless: somebody should look now."""
    WARNING = "warning"
    """It will not end well, or wastes much, if nobody looks today."""
    INFO = "info"
    """Worth knowing; it may be meant so."""


@dataclass(frozen=True)
class Rule:
    """One of an alert, which may have several of other thresholds."""

    expr: str
    severity: Severity
    summary: str
    """With Prometheus' templates, such as `{{ $value | humanize }}`."""
    lasting: str = "0s"
    """How long it has to be so: `for`."""


@dataclass(frozen=True)
class Alert:
    name: str
    rules: tuple[Rule, ...]

    @property
    def runbook(self) -> str:
        return f"{RUNBOOKS}/{self.name}.md"


def learner(metric: str, labels: str = "") -> str:
    """A gauge of learner 0. `max` drops the pod's name: the attempts of a run make one series."""
    return f"max by (namespace, run) ({metric}{_selected(labels)})"


def course(function: str, metric: str, window: str, labels: str = "", offset: str = "") -> str:
    """A function over time of such a gauge, as in avg_over_time."""
    return f"max by (namespace, run) ({function}({metric}{_selected(labels)}[{window}]{_before(offset)}))"


def growth(counter: str, window: str, labels: str = "") -> str:
    """By how much counters of the run have grown."""
    return f"sum by (namespace, run) (increase({counter}{_selected(labels)}[{window}]))"


def operator(metric: str, labels: str = "", offset: str = "") -> str:
    """A gauge of the run that the operator tells, in whose own namespace that series is."""
    return f"max by (namespace, run) ({_moved(f'{metric}{_selected(labels)}{_before(offset)}')})"


def course_of_operator(function: str, metric: str, window: str, labels: str = "") -> str:
    return f"max by (namespace, run) ({_moved(f'{function}({metric}{_selected(labels)}[{window}])')})"


def changes(metric: str, window: str) -> str:
    """How often such a gauge has changed, also while another replica of the operator took over."""
    return f"sum by (namespace, run) ({_moved(f'changes({metric}[{window}])')})"


def in_phase(phases: str) -> str:
    """`phases`: a regular expression."""
    return f"""{operator("grpo_run_phase", f'phase=~"{phases}"')} == 1"""


def while_training(expr: str) -> str:
    """Not while a trained model is saved or evaluated: the phase is Running then, too."""
    reasons = f"{Reason.SAVING}|{Reason.EVALUATING}"
    after = operator("grpo_run_condition", f'type="{ConditionType.PROGRESSING}", reason=~"{reasons}"')
    return f"({expr}) and on (namespace, run) {in_phase('Running')} unless on (namespace, run) {after}"


def _moved(expr: str) -> str:
    return f'label_replace({expr}, "namespace", "$1", "run_namespace", "(.+)")'


def _selected(labels: str) -> str:
    return f"{{{labels}}}" if labels else ""


def _before(offset: str) -> str:
    return f" offset {offset}" if offset else ""
