"""Alerts about whether runs go on, and about the operator."""

from typing import Final

from codegen.alert_rules import (
    Alert,
    Rule,
    Severity,
    changes,
    course_of_operator,
    growth,
    in_phase,
    learner,
    operator,
    while_training,
)
from codegen.alerts_learning import NAMED

SLOW_STEP_S: Final = 200
"""Runs of which a step takes longer get hours."""
IS_SLOW: Final = f"{course_of_operator('max_over_time', 'grpo_run_seconds_per_step', '6h')} > {SLOW_STEP_S}"
STEP: Final = operator("grpo_run_step")
IN_SYNC: Final = operator("grpo_run_generators", 'state="in_sync"')
DESIRED: Final = operator("grpo_run_generators", 'state="desired"')
FAILED_UPDATES: Final = growth("grpo_weight_sync_failures_total", "30m")
"""Of weights. A generator whose update has failed counts as lost until one does not."""
UNSAVED: Final = f"{STEP} - {operator('grpo_run_checkpoint_step')}"


def _no_step(window: str) -> str:
    """Since then, though it said all the time that it trains. Its value is the step at which it is."""
    before = operator("grpo_run_step", offset=window)
    otherwise = course_of_operator(
        "max_over_time", "grpo_run_condition", window, 'type="Progressing", reason!="Training"'
    )
    trains = operator("grpo_run_condition", 'type="Progressing", reason="Training"')
    return f"({STEP} <= {before} and on (namespace, run) {trains} unless on (namespace, run) {otherwise})"


RUNNING: Final = (
    Alert(
        "GRPORunStalled",
        (
            Rule(
                f"{_no_step('30m')} unless on (namespace, run) {IS_SLOW} or {_no_step('6h')}",
                Severity.CRITICAL,
                f"{NAMED} has made no step for half an hour, or for six where a step takes minutes; it is at step {{{{ $value }}}}.",
                "1m",
            ),
        ),
    ),
    Alert(
        "GRPORunFailed",
        (
            Rule(
                f"time() - {operator('grpo_run_last_failure_timestamp_seconds')} < 3600 and on (namespace, run) "
                f"{in_phase('Failed')}",
                Severity.CRITICAL,
                f"{NAMED} has failed {{{{ $value | humanizeDuration }}}} ago: status.lastFailure says why.",
            ),
        ),
    ),
    Alert(
        "GRPORunNotStarting",
        (
            Rule(
                in_phase("Pending|Starting"),
                Severity.INFO,
                f"{NAMED} has not begun to train for an hour: `kubectl grpo why` says what it waits for.",
                "1h",
            ),
        ),
    ),
    Alert(
        "GRPORunNotScraped",
        (
            Rule(
                f"{in_phase('Running')} unless on (namespace, run) {learner('grpo_step')}",
                Severity.WARNING,
                f"{NAMED} trains, and Prometheus has no metrics of its learners: nobody watches what it learns.",
                "15m",
            ),
        ),
    ),
    Alert(
        "GRPOGeneratorsLost",
        (
            Rule(
                while_training(f"{IN_SYNC} == 0"),
                Severity.CRITICAL,
                f"{NAMED} has {{{{ $value }}}} generators that can write completions.",
                "5m",
            ),
            Rule(
                while_training(f"{DESIRED} - {IN_SYNC} > 0"),
                Severity.WARNING,
                f"{{{{ $value }}}} of the generators of {NAMED} have written nothing for a quarter of an hour.",
                "15m",
            ),
        ),
    ),
    Alert(
        "GRPOWeightsOutOfSync",
        (
            Rule(
                growth("grpo_too_stale_completions_total", "15m") + " > 0",
                Severity.CRITICAL,
                f"{NAMED} has learnt from {{{{ printf `%.3g` $value }}}} completions of weights that were too old.",
            ),
            Rule(
                f"""{learner("grpo_generators", 'state="ready"')} > 0 or {FAILED_UPDATES} > 2""",
                Severity.WARNING,
                f"Generators of {NAMED} answer, and do not get the learners' weights.",
                "10m",
            ),
        ),
    ),
    Alert(
        "GRPOCheckpointTooOld",
        (
            Rule(
                while_training(f"{UNSAVED} > 2 * {operator('grpo_run_checkpoint_every_steps')}"),
                Severity.WARNING,
                f"{NAMED} has made {{{{ $value }}}} steps since its newest checkpoint, more than twice spec.checkpoint.everySteps.",
                "5m",
            ),
        ),
    ),
    Alert(
        "GRPOCheckpointUnhealthy",
        (
            Rule(
                while_training(operator("grpo_run_condition", 'type="CheckpointHealthy"') + " == 0"),
                Severity.WARNING,
                f"The condition CheckpointHealthy of {NAMED} is False: a checkpoint was not written, or is damaged.",
                "1m",
            ),
        ),
    ),
    Alert(
        "GRPORestartsLooping",
        (
            Rule(
                f"{changes('grpo_run_attempt', '1h')} >= 3",
                Severity.CRITICAL,
                f"{NAMED} was started again {{{{ $value }}}} times within an hour.",
            ),
        ),
    ),
    Alert(
        "GRPOVolumeNearlyFull",
        (
            Rule(
                f"{learner('grpo_volume_available_bytes')} / {learner('grpo_volume_size_bytes')} < 0.1",
                Severity.WARNING,
                f"{{{{ $value | humanizePercentage }}}} of the volume of {NAMED} is free.",
                "1m",
            ),
        ),
    ),
)

OPERATOR: Final = (
    Alert(
        "GRPOOperatorDown",
        (
            Rule(
                "absent(grpo_runs)",
                Severity.CRITICAL,
                "No GRPO operator is scraped: runs go on, but nobody starts, restarts or ends any.",
                "5m",
            ),
        ),
    ),
    Alert(
        "GRPOOperatorErrors",
        (
            Rule(
                'sum by (namespace) (rate(controller_runtime_reconcile_errors_total{controller="grporun"}[10m])) / '
                'sum by (namespace) (rate(controller_runtime_reconcile_total{controller="grporun"}[10m])) > 0.1',
                Severity.WARNING,
                "{{ $value | humanizePercentage }} of what the GRPO operator in {{ $labels.namespace }} tries fails.",
                "15m",
            ),
        ),
    ),
)
