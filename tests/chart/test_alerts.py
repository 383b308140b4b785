"""Every alert fires at metrics that call for it, and stays silent at those of a run that is well: Prometheus' own rule tests."""

import re
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from codegen.alerts import ALERTS
from grpo_contract.metrics import LEARNER_METRICS, OPERATOR_METRICS
from harness.layout import CHART, ROOT

RULES = CHART / "alerts" / "grpo.yaml"
OF_LEARNER = {"namespace": "lab", "run": "math", "pod": "math-learner-1-0"}
OF_OPERATOR = {"namespace": "grpo-system", "pod": "operator-a"}
OF_RUN = OF_OPERATOR | {"run_namespace": "lab", "run": "math"}
ROUTED = {"namespace": "lab", "run": "math"}
RUN = "GRPORun lab/math"
LATE = 9 * 60
"""The minute at which one asks. There is a sample each minute; `0+2x30` climbs by 2 for half an hour."""
LONG = f"x{LATE}"
WELL: Mapping[str, str] = {
    "grpo_run_phase{phase=Running}": f"1{LONG}",
    "grpo_run_step": f"0+2{LONG}",
    "grpo_run_seconds_per_step": f"30{LONG}",
    "grpo_run_checkpoint_step": f"-10+2{LONG}",
    "grpo_run_checkpoint_every_steps": f"20{LONG}",
    "grpo_run_attempt": f"1{LONG}",
    "grpo_run_generators{state=desired}": f"4{LONG}",
    "grpo_run_generators{state=in_sync}": f"4{LONG}",
    "grpo_run_condition{type=CheckpointHealthy}": f"1{LONG}",
    "grpo_run_condition{type=Progressing,reason=Training}": f"1{LONG}",
    "grpo_step": f"0+2{LONG}",
    "grpo_step_seconds_count": f"0+2{LONG}",
    "grpo_generators{state=ready}": f"0{LONG}",
    "grpo_too_stale_completions_total": f"0{LONG}",
    "grpo_weight_sync_failures_total": f"0{LONG}",
    "grpo_reward": f"0.1+0.001{LONG}",
    "grpo_reward_std": f"0.3{LONG}",
    "grpo_kl": f"0.01+0.0001{LONG}",
    "grpo_entropy": f"0.8-0.001{LONG}",
    "grpo_not_finite_total{metric=grpo_grad_norm}": f"0{LONG}",
    "grpo_completion_clipped_ratio": f"0.1{LONG}",
    "grpo_reward_zero_std_ratio": f"0.3{LONG}",
    "grpo_reward_errors_total{reason=Timeout}": f"0+1{LONG}",
    "grpo_reward_errors_total{reason=UnparsableSolution}": f"0+50{LONG}",
    "grpo_generator_completions_total{generator=a}": f"0+100{LONG}",
    "grpo_learner_idle_ratio": f"0.3{LONG}",
    "grpo_volume_size_bytes": f"1000{LONG}",
    "grpo_volume_available_bytes": f"500{LONG}",
    "grpo_runs{phase=Running}": f"1{LONG}",
    "controller_runtime_reconcile_total{controller=grporun,result=success}": f"0+60{LONG}",
    "controller_runtime_reconcile_errors_total{controller=grporun}": f"0+1{LONG}",
}
"""Nine hours of a run that learns, by series; labels of the target come on top."""


def since(minutes: int, before: float | str, after: float | str) -> str:
    """One value, and another one in the last so many minutes."""
    return f"{before}x{LATE - minutes} {after}x{minutes}"


@dataclass(frozen=True)
class Course:
    """Of a run that is well but for these series; None: it has none such."""

    alert: str
    series: Mapping[str, str | None]
    summary: str
    severity: str = "warning"
    labels: Mapping[str, str] = field(default_factory=lambda: ROUTED)


STALLED = f"{RUN} has made no step for half an hour, or for six where a step takes minutes; it is at step "
OUTDATED = f"Generators of {RUN} answer, and do not get the learners' weights."
FIRING = {
    "no step": Course("GRPORunStalled", {"grpo_run_step": since(32, "0+2", 1016)}, STALLED + "1016.", "critical"),
    "no step of a slow run": Course(
        "GRPORunStalled",
        {"grpo_run_seconds_per_step": f"300{LONG}", "grpo_run_step": since(362, "0+1", 178)},
        STALLED + "178.",
        "critical",
    ),
    "no step of a slow run that was started again": Course(
        "GRPORunStalled",
        {"grpo_run_seconds_per_step": f"300x{LATE - 362} _x362", "grpo_run_step": since(362, "0+1", 178)},
        STALLED + "178.",
        "critical",
    ),
    "the run failed": Course(
        "GRPORunFailed",
        {
            "grpo_run_phase{phase=Running}": f"1x{LATE - 10} stale",
            "grpo_run_phase{phase=Failed}": f"_x{LATE - 10} 1x10",
            "grpo_run_last_failure_timestamp_seconds{reason=OOMKilled}": f"_x{LATE - 10} {(LATE - 10) * 60}x10",
        },
        f"{RUN} has failed 10m 0s ago: status.lastFailure says why.",
        "critical",
    ),
    "a run that waits for room": Course(
        "GRPORunNotStarting",
        {"grpo_run_phase{phase=Running}": since(62, 1, 0), "grpo_run_phase{phase=Pending}": since(62, 0, 1)},
        f"{RUN} has not begun to train for an hour: `kubectl grpo why` says what it waits for.",
        "info",
    ),
    "a run whose learners are not scraped": Course(
        "GRPORunNotScraped",
        {"grpo_step": f"1x{LATE - 30} stale"},
        f"{RUN} trains, and Prometheus has no metrics of its learners: nobody watches what it learns.",
    ),
    "all generators lost": Course(
        "GRPOGeneratorsLost",
        {"grpo_run_generators{state=in_sync}": since(6, 4, 0)},
        f"{RUN} has 0 generators that can write completions.",
        "critical",
    ),
    "one generator lost": Course(
        "GRPOGeneratorsLost",
        {"grpo_run_generators{state=in_sync}": since(16, 4, 3)},
        f"1 of the generators of {RUN} have written nothing for a quarter of an hour.",
    ),
    "too old completions": Course(
        "GRPOWeightsOutOfSync",
        {"grpo_too_stale_completions_total": since(5, 0, 8)},
        f"{RUN} has learnt from 8 completions of weights that were too old.",
        "critical",
    ),
    "a generator without the weights": Course(
        "GRPOWeightsOutOfSync", {"grpo_generators{state=ready}": since(11, 0, 1)}, OUTDATED
    ),
    "weight updates that keep failing": Course(
        "GRPOWeightsOutOfSync", {"grpo_weight_sync_failures_total": f"0x{LATE - 14} 0+1x14"}, OUTDATED
    ),
    "checkpoints that do not come": Course(
        "GRPOCheckpointTooOld",
        {"grpo_run_checkpoint_step": since(40, 990, 990)},
        f"{RUN} has made 90 steps since its newest checkpoint, more than twice spec.checkpoint.everySteps.",
    ),
    "a checkpoint that was not written": Course(
        "GRPOCheckpointUnhealthy",
        {"grpo_run_condition{type=CheckpointHealthy}": since(2, 1, 0)},
        f"The condition CheckpointHealthy of {RUN} is False: a checkpoint was not written, or is damaged.",
    ),
    "three restarts": Course(
        "GRPORestartsLooping",
        {"grpo_run_attempt": f"1x{LATE - 50} 2x20 3x20 4x10"},
        f"{RUN} was started again 3 times within an hour.",
        "critical",
    ),
    "no room": Course(
        "GRPOVolumeNearlyFull",
        {"grpo_volume_available_bytes": since(3, 500, 50)},
        f"5% of the volume of {RUN} is free.",
    ),
    "a fall of the reward": Course(
        "GRPORewardCollapse",
        {"grpo_reward": since(40, 0.8, 0.2)},
        f"The reward of {RUN} has fallen by 0.6 from the best quarter of an hour of the last six hours, which is more than "
        "its spread.",
    ),
    "a reward that does not move": Course(
        "GRPORewardFlat", {"grpo_reward": f"0.5{LONG}"}, f"The reward of {RUN} has changed by 0 in six hours.", "info"
    ),
    "a high KL": Course(
        "GRPOKLExplosion",
        {"grpo_kl": f"12{LONG}"},
        f"The KL divergence of {RUN} from its reference policy is 12.",
        "critical",
    ),
    "a jump of the KL": Course(
        "GRPOKLExplosion",
        {"grpo_kl": since(10, 0.1, 1)},
        f"The KL divergence of {RUN} is 1, five times what it was an hour ago or more.",
    ),
    "no entropy": Course(
        "GRPOEntropyCollapse",
        {"grpo_entropy": since(40, 0.8, 0.05)},
        f"The entropy of {RUN} is 0.05 nats per token, less than a tenth of what it was.",
    ),
    "a NaN": Course(
        "GRPOLossNaN",
        {"grpo_not_finite_total{metric=grpo_grad_norm}": f"0x{LATE - 60} 0+2x60"},
        f"Gradients, or other metrics, of 100% of the steps of {RUN} are NaN or infinite.",
        "critical",
    ),
    "completions cut off": Course(
        "GRPOTruncatedShareHigh",
        {"grpo_completion_clipped_ratio": since(70, 0.1, 0.75)},
        f"75% of the completions of {RUN} are cut off at max_completion_length.",
    ),
    "equal rewards": Course(
        "GRPOZeroVarianceShareHigh",
        {"grpo_reward_zero_std_ratio": since(70, 0.3, 0.9)},
        f"In 90% of the groups of {RUN} all completions have earned the same.",
    ),
    "rewards that fail": Course(
        "GRPORewardErrors",
        {"grpo_reward_errors_total{reason=Timeout}": f"0+20{LONG}"},
        f"Reward functions of {RUN} have given 20% of its completions no score.",
    ),
    "learners that wait": Course(
        "GRPOLearnersIdle",
        {"grpo_learner_idle_ratio": since(16, 0.3, 0.75)},
        f"Learners of {RUN} wait 75% of their time for completions.",
    ),
    "no operator": Course(
        "GRPOOperatorDown",
        {"grpo_runs{phase=Running}": None},
        "No GRPO operator is scraped: runs go on, but nobody starts, restarts or ends any.",
        "critical",
        {},
    ),
    "an operator that fails": Course(
        "GRPOOperatorErrors",
        {"controller_runtime_reconcile_errors_total{controller=grporun}": f"0+15{LONG}"},
        "25% of what the GRPO operator in grpo-system tries fails.",
        "warning",
        {"namespace": "grpo-system"},
    ),
}
EVERY_ALERT = tuple(alert.name for alert in ALERTS)
SILENT: Mapping[str, tuple[tuple[str, ...], Mapping[str, str | None]]] = {
    "all is well": (EVERY_ALERT, {}),
    "a pause of less than half an hour": (("GRPORunStalled",), {"grpo_run_step": since(28, "0+2", 1024)}),
    "an hour in a step of five minutes": (
        ("GRPORunStalled",),
        {
            "grpo_run_seconds_per_step": f"300{LONG}",
            "grpo_run_step": since(60, "0+1", 480),
            "grpo_run_checkpoint_step": f"-10+1{LONG}",
        },
    ),
    "a run that was suspended for hours": (
        ("GRPORunStalled",),
        {
            "grpo_run_step": since(300, "0+2", 480),
            "grpo_run_checkpoint_step": since(300, "-10+2", 470),
            "grpo_run_phase{phase=Running}": f"1x{LATE - 300} _x280 1x19",
            "grpo_run_phase{phase=Suspended}": f"_x{LATE - 300} 1x280 stale",
            "grpo_run_condition{type=Progressing,reason=Training}": f"1x{LATE - 300} _x280 1x19",
            "grpo_run_condition{type=Progressing,reason=Suspended}": f"_x{LATE - 300} 0x280 stale",
            "grpo_reward": None,
        },
    ),
    "a model that is evaluated after its last step": (
        ("GRPORunStalled", "GRPOGeneratorsLost"),
        {
            "grpo_run_step": since(60, "0+2", 960),
            "grpo_run_generators{state=in_sync}": since(60, 4, 0),
            "grpo_run_condition{type=Progressing,reason=Training}": f"1x{LATE - 60} stale",
            "grpo_run_condition{type=Progressing,reason=Evaluating}": f"_x{LATE - 60} 1x60",
        },
    ),
    "a later attempt that waits for room": (
        ("GRPORunStalled",),
        {
            "grpo_run_step": since(60, "0+2", 940),
            "grpo_run_condition{type=Progressing,reason=Training}": f"1x{LATE - 60} stale",
            "grpo_run_condition{type=Progressing,reason=Starting}": f"_x{LATE - 60} 1x60",
        },
    ),
    "a restart of a run with steps of ten minutes": (
        ("GRPORunStalled",),
        {
            "grpo_run_seconds_per_step": f"600x{LATE - 5} _x5",
            "grpo_run_step": f"0+0.1x{LATE - 5} 50x5",
        },
    ),
    "a run that started from another one's checkpoint": (
        ("GRPOCheckpointTooOld",),
        {"grpo_run_step": f"1000+2{LONG}", "grpo_run_checkpoint_step": None},
    ),
    "gradients that overflow now and then, as with fp16": (
        ("GRPOLossNaN",),
        {"grpo_not_finite_total{metric=grpo_grad_norm}": f"0+0.5{LONG}"},
    ),
    "generators that are started anew": (
        ("GRPOGeneratorsLost",),
        {"grpo_run_generators{state=in_sync}": f"4x{LATE - 20} 0x3 2x5 4x11"},
    ),
    "a run that waits for its first generator": (
        (
            "GRPOGeneratorsLost",
            "GRPORunStalled",
            "GRPOCheckpointTooOld",
        ),
        {
            "grpo_run_phase{phase=Running}": None,
            "grpo_run_phase{phase=Starting}": f"1{LONG}",
            "grpo_run_condition{type=Progressing,reason=Training}": None,
            "grpo_run_condition{type=Progressing,reason=Starting}": f"1{LONG}",
            "grpo_run_generators{state=in_sync}": f"0{LONG}",
            "grpo_run_step": f"0{LONG}",
            "grpo_run_checkpoint_step": f"0{LONG}",
        },
    ),
    "a run that starts within the hour": (
        ("GRPORunNotStarting", "GRPORunNotScraped"),
        {
            "grpo_run_phase{phase=Running}": f"_x{LATE - 100} 1x100",
            "grpo_run_phase{phase=Pending}": f"_x{LATE - 150} 1x20 0x130",
            "grpo_run_phase{phase=Starting}": f"_x{LATE - 150} 0x20 1x30 0x100",
            "grpo_step": f"_x{LATE - 98} 0+2x98",
        },
    ),
    "an attempt that begins anew": (("GRPORunNotScraped",), {"grpo_step": f"1x{LATE - 60} _x12 1x48"}),
    "a weight update at each look": (("GRPOWeightsOutOfSync",), {"grpo_generators{state=ready}": "1 0 " * (LATE // 2)}),
    "two generators that die while they are given weights": (
        ("GRPOWeightsOutOfSync",),
        {"grpo_weight_sync_failures_total": since(20, 0, 2)},
    ),
    "two restarts": (("GRPORestartsLooping",), {"grpo_run_attempt": f"1x{LATE - 50} 2x20 3x30"}),
    "a reward that falls within its spread": (("GRPORewardCollapse",), {"grpo_reward": since(40, 0.8, 0.55)}),
    "a run without a reference policy": (("GRPOKLExplosion",), {"grpo_kl": None}),
    "a run that failed yesterday": (
        (
            "GRPORunFailed",
            "GRPORunStalled",
            "GRPOCheckpointTooOld",
        ),
        {
            "grpo_run_phase{phase=Running}": None,
            "grpo_run_phase{phase=Failed}": f"1{LONG}",
            "grpo_run_condition{type=Progressing,reason=Training}": None,
            "grpo_run_condition{type=Progressing,reason=RunEnded}": f"0{LONG}",
            "grpo_run_last_failure_timestamp_seconds{reason=OOMKilled}": f"-90000{LONG}",
            "grpo_run_step": f"70{LONG}",
            "grpo_run_checkpoint_step": f"0{LONG}",
        },
    ),
    "an evaluation without a finite reward": (
        ("GRPOLossNaN",),
        {"grpo_not_finite_total{metric=grpo_eval_reward}": since(2, 0, 1)},
    ),
}


@pytest.fixture
def promtool(binaries: Path) -> Path:
    return binaries / "promtool"


def test_prometheus_takes_the_rules(promtool: Path) -> None:
    done = subprocess.run([promtool, "check", "rules", RULES], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("case", FIRING)
def test_it_fires(case: str, promtool: Path, tmp_path: Path) -> None:
    course = FIRING[case]
    alert = {
        "exp_labels": {"severity": course.severity, **course.labels},
        "exp_annotations": {"summary": course.summary, "runbook": f"docs/runbooks/{course.alert}.md"},
    }
    assert_fires(promtool, tmp_path, course.series, {course.alert: [alert]}, [LATE])


@pytest.mark.parametrize("case", SILENT)
def test_it_stays_silent(case: str, promtool: Path, tmp_path: Path) -> None:
    """From the tenth minute on: before that an operator may not have been scraped."""
    alerts, series = SILENT[case]
    assert_fires(promtool, tmp_path, series, {alert: [] for alert in alerts}, range(10, LATE + 1, 10))


def test_each_alert_is_made_to_fire() -> None:
    rules = {(alert.name, rule.severity.value) for alert in ALERTS for rule in alert.rules}
    assert rules == {(course.alert, course.severity) for course in FIRING.values()}


def test_each_alert_has_a_page_that_says_what_to_do() -> None:
    pages = {page.stem: page.read_text() for page in (ROOT / "docs" / "runbooks").glob("GRPO*.md")}
    assert pages.keys() == {alert.name for alert in ALERTS}
    for name, page in pages.items():
        assert page.startswith(f"# {name}\n")
        headings = re.findall("^## (.*)$", page, re.MULTILINE)
        assert headings == ["What it means", "What to look at", "What to do"], name


def test_rules_ask_for_metrics_that_exist() -> None:
    known = {metric.name for metric in (*LEARNER_METRICS, *OPERATOR_METRICS)} | {"grpo_step_seconds_count"}
    asked = set(re.findall(r"\b(?:grpo|controller)_[a-z_]+[a-z](?![a-z_])", RULES.read_text()))
    assert asked <= known
    assert {re.split(r"[{]", series)[0] for course in FIRING.values() for series in course.series} <= known
    assert {re.split(r"[{]", series)[0] for series in WELL} >= asked - {"grpo_run_last_failure_timestamp_seconds"}


def assert_fires(
    promtool: Path,
    folder: Path,
    series: Mapping[str, str | None],
    expected: Mapping[str, list[Mapping[str, Any]]],
    minutes: Iterable[int],
) -> None:
    """Of these alerts exactly these, at each of these minutes."""
    values = {name: course for name, course in {**WELL, **series}.items() if course is not None}
    asked = [{"alertname": alert, "exp_alerts": alerts} for alert, alerts in expected.items()]
    test = {
        "interval": "1m",
        "input_series": [{"series": whole(name), "values": course} for name, course in values.items()],
        "alert_rule_test": [{"eval_time": f"{minute}m", **alert} for minute in minutes for alert in asked],
    }
    rules = [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
    of_these = [rule for rule in rules if rule["alert"] in expected]
    (folder / "rules.yaml").write_text(yaml.safe_dump({"groups": [{"name": "some", "rules": of_these}]}))
    file = folder / "test.yaml"
    file.write_text(yaml.safe_dump({"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": [test]}))
    done = subprocess.run([promtool, "test", "rules", file], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def whole(series: str) -> str:
    """With the labels of who tells of it."""
    name, _, inside = series.rstrip("}").partition("{")
    own = dict(pair.split("=") for pair in inside.split(",") if pair)
    labels = {metric.name: metric.labels for metric in OPERATOR_METRICS}.get(name)
    target = OF_LEARNER if labels is None else OF_RUN if "run" in labels else OF_OPERATOR
    return f"{name}{{{', '.join(f'{label}={chr(34)}{text}{chr(34)}' for label, text in {**target, **own}.items())}}}"
