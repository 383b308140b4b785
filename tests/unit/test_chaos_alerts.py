"""What `make chaos-alerts` has fire, and how it judges."""

import pytest

from chaos.alert_faults import LASTING_FAULTS
from chaos.alerts import verdict
from codegen.alerts import ALERTS
from codegen.alerts_learning import LEARNING

NOT_STRUCK = {
    ("GRPORunNotStarting", "info"): "an hour; promtool judges it",
    ("GRPORunNotScraped", "warning"): "the local cluster's Prometheus is let in; promtool judges it",
    ("GRPORunStalled", "critical"): "it takes half an hour more than all others",
    ("GRPOWeightsOutOfSync", "critical"): "each completion is checked before anything is learnt from it",
    ("GRPOVolumeNearlyFull", "warning"): "the volumes of the local cluster are folders of this machine's disk",
}
"""Rules about whether runs go on that only tests/chart/test_alerts.py has fire."""


def test_each_rule_about_whether_runs_go_on_has_a_fault_or_a_reason() -> None:
    about_learning = {alert.name for alert in LEARNING} - {"GRPORewardErrors"}
    rules = {(alert.name, rule.severity.value) for alert in ALERTS for rule in alert.rules}
    struck = {(name, severity.value) for fault in LASTING_FAULTS for name, severity in fault.alerts}
    assert struck & NOT_STRUCK.keys() == set()
    assert struck | NOT_STRUCK.keys() == {rule for rule in rules if rule[0] not in about_learning}


@pytest.mark.parametrize(
    ("fired_s", "stated_s", "result"),
    [
        (304.0, 300.0, "ok"),
        (0.0, 0.0, "ok"),
        (None, 300.0, "has not fired within 360 s"),
        (299.0, 300.0, "fires for something else"),
    ],
)
def test_an_alert_fires_when_its_rule_says(fired_s: float | None, stated_s: float, result: str) -> None:
    assert verdict(fired_s, stated_s) == result


def test_a_fault_that_takes_what_others_need_comes_last() -> None:
    assert [fault.is_alone for fault in LASTING_FAULTS] == sorted(fault.is_alone for fault in LASTING_FAULTS)
