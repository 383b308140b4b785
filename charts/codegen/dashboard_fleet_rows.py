"""Rows of the dashboard "GRPO fleet": all runs of the chosen namespaces, what they hold and wait for, and the operator itself.

All of it is told by the operator, so that runs are there before their pods are, and after.
"""

from typing import Final

from codegen.dashboard_panels import (
    SELECTOR_OF_RUNS,
    WINDOW,
    Line,
    Panel,
    Unit,
    by_ref,
    hours,
    lines,
    number,
    of_runs,
    runs_table,
)

RUN_DASHBOARD: Final = (
    "/d/grpo-run?var-datasource=${datasource}&var-namespace=${__data.fields.namespace}&var-run=${__data.fields.run}"
)
ACTIVE: Final = "Running|Restarting"
OPERATOR: Final = 'controller="grporun"'
IS_OPERATORS: Final = 'and on (namespace, pod) grpo_runs{phase="Running"}'
"""Of metrics that other programs export as well."""


def overview() -> list[Line]:
    return [
        [
            _runs("Runs that train", "Running", "Runs in phase Running."),
            _runs(
                "Runs that wait",
                "Pending|Starting",
                "Runs in phase Pending or Starting: for room, images, a volume, or their first step.",
            ),
            _runs("Runs that restart", "Restarting", "Runs between two attempts. Healthy: 0, or not for long."),
            _runs("Runs that failed", "Failed", "Runs that have failed and are still there. Healthy: 0."),
            number(
                "GPUs held",
                "none",
                f"sum({of_runs('grpo_run_gpus', 'role')})",
                "GPUs that pods of runs hold or wait for.",
                decimals=0,
            ),
            number(
                "GPU-hours",
                "none",
                f"sum({hours(of_runs('grpo_run_gpus', 'role'))})",
                "What pods of runs have held, or waited for while their run was active, in the chosen time.",
                decimals=0,
            ),
        ]
    ]


def _runs(title: str, phases: str, description: str) -> Panel:
    return number(title, "none", f"count({_in_phase(phases)}) or vector(0)", description, decimals=0)


def _in_phase(phases: str) -> str:
    return f'max by (run_namespace, run) (grpo_run_phase{{{SELECTOR_OF_RUNS}, phase=~"{phases}"}}) == 1'


def runs() -> list[Line]:
    columns: list[tuple[str, str, Unit]] = [
        ("progress", f"{of_runs('grpo_run_step')} / {of_runs('grpo_run_max_steps')}", "percentunit"),
        ("step", of_runs("grpo_run_step"), "none"),
        ("s per step", of_runs("grpo_run_seconds_per_step"), "s"),
        ("attempt", of_runs("grpo_run_attempt"), "none"),
        ("learners ready", of_runs("grpo_run_learners", state="ready"), "none"),
        ("generators in sync", of_runs("grpo_run_generators", state="in_sync"), "none"),
        ("GPUs", f"sum by (run_namespace, run) ({of_runs('grpo_run_gpus', 'role')})", "none"),
    ]
    made_none = f"max by (run_namespace, run) (changes(grpo_run_step{{{SELECTOR_OF_RUNS}}}[{WINDOW}])) == 0"
    return [
        [
            runs_table(
                "Runs",
                columns,
                "Every run that there is. A name leads to its own dashboard.",
                RUN_DASHBOARD,
            )
        ],
        [
            lines(
                "Runs by phase",
                "none",
                by_ref((f"sum by (phase) ({of_runs('grpo_run_phase', 'phase')})", "{{phase}}")),
                "How many runs are in each phase.",
                stacked=True,
            ),
            lines(
                "Slowest runs",
                "s",
                by_ref((f"topk(10, {of_runs('grpo_run_seconds_per_step')})", "{{run_namespace}}/{{run}}")),
                "Mean duration of the last ten steps, of the ten runs of which it is longest.",
            ),
            lines(
                "Runs without a step",
                "none",
                by_ref(
                    (
                        f"{of_runs('grpo_run_step')} and on (run_namespace, run) {_in_phase(ACTIVE)} and on (run_namespace, run) "
                        f"{made_none}",
                        "{{run_namespace}}/{{run}}",
                    )
                ),
                "Runs that are to train and have made no step in the window, by the step at which they are. Choose a window longer "
                "than a step. Healthy: none; GRPORunStalled tells of those that are for long.",
            ),
        ],
        [
            lines(
                "GPUs by role",
                "none",
                by_ref((f"sum by (role) ({of_runs('grpo_run_gpus', 'role')})", "{{role}}")),
                "GPUs that pods of runs hold or wait for.",
                stacked=True,
            ),
            lines(
                "GPUs by run",
                "none",
                by_ref(
                    (
                        f"topk(10, sum by (run_namespace, run) ({of_runs('grpo_run_gpus', 'role')}))",
                        "{{run_namespace}}/{{run}}",
                    )
                ),
                "The same, of the ten runs with the most.",
                stacked=True,
            ),
            lines(
                "Steps since the newest checkpoint",
                "none",
                by_ref(
                    (
                        f"{of_runs('grpo_run_step')} - {of_runs('grpo_run_checkpoint_step')}",
                        "{{run_namespace}}/{{run}}",
                    ),
                    (of_runs("grpo_run_checkpoint_every_steps"), "everySteps of {{run_namespace}}/{{run}}"),
                ),
                "What a lost learner would cost each run. Healthy: at most its checkpoint.everySteps.",
            ),
        ],
    ]


def failures() -> list[Line]:
    failed_lately = f"{of_runs('grpo_run_last_failure_timestamp_seconds', 'reason')} > time() - 86400"
    return [
        [
            lines(
                "Restarts by reason",
                "none",
                by_ref((f"sum by (reason) (increase(grpo_run_restarts_total[{WINDOW}]))", "{{reason}}")),
                "Attempts in the window that were started again, of all runs that the operator sees. Healthy: few, and not the same "
                "reason again and again.",
            ),
            lines(
                "Failures of the last day by reason",
                "none",
                by_ref((f"count by (reason) ({failed_lately})", "{{reason}}")),
                "Runs of which the last failed attempt is less than a day ago, by why it ended.",
            ),
            lines(
                "What does not hold",
                "none",
                by_ref(
                    (
                        f"count by (type, reason) ({of_runs('grpo_run_condition', 'type', 'reason')} == 0 and on "
                        f"(run_namespace, run) {_in_phase('Pending|Starting|Running|Restarting')})",
                        "{{type}} {{reason}}",
                    )
                ),
                "Conditions of active runs that are False, by reason: how many runs each holds up. What to do stands in the reference.",
            ),
        ]
    ]


def operator() -> list[Line]:
    looked = f"rate(controller_runtime_reconcile_time_seconds_bucket{{{OPERATOR}}}[{WINDOW}])"
    return [
        [
            lines(
                "Looks at runs",
                "reqps",
                by_ref(
                    (
                        f"sum by (result) (rate(controller_runtime_reconcile_total{{{OPERATOR}}}[{WINDOW}]))",
                        "{{result}}",
                    ),
                    (f"sum(rate(controller_runtime_reconcile_errors_total{{{OPERATOR}}}[{WINDOW}]))", "errors"),
                ),
                "How often per second the operator looks at a run, by what came of it. Healthy: no errors.",
            ),
            lines(
                "Duration of a look",
                "s",
                by_ref(
                    (
                        f"sum(rate(controller_runtime_reconcile_time_seconds_sum{{{OPERATOR}}}[{WINDOW}])) / "
                        f"sum(rate(controller_runtime_reconcile_time_seconds_count{{{OPERATOR}}}[{WINDOW}]))",
                        "mean",
                    ),
                    (f"histogram_quantile(0.95, sum by (le) ({looked}))", "95th percentile"),
                ),
                "Requests to the API server included. Healthy: below a second.",
            ),
            lines(
                "Queue",
                "none",
                by_ref(('sum(workqueue_depth{name="grporun"})', "runs that wait for a look")),
                "Healthy: back at 0 within seconds.",
            ),
        ],
        [
            lines(
                "Requests to the API server",
                "reqps",
                by_ref(
                    (
                        f"sum by (method, code) (rate(rest_client_requests_total[{WINDOW}]) {IS_OPERATORS})",
                        "{{method}} {{code}}",
                    )
                ),
                "Of the operator, by answer. Healthy: codes of 2xx, and now and then 409, which is tried again.",
            ),
            lines(
                "Memory of the operator",
                "bytes",
                by_ref((f"max by (pod) (process_resident_memory_bytes {IS_OPERATORS})", "{{pod}}")),
                "Resident memory of each replica. Healthy: steady.",
            ),
            lines(
                "Runs by replica",
                "none",
                by_ref(("sum by (pod) (grpo_runs)", "{{pod}}")),
                "How many runs each replica looks after. Healthy: one has all, and those that wait have none.",
            ),
        ],
    ]
