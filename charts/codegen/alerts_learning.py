"""Alerts about what a run learns. A threshold is relative to the run itself where there is no absolute one."""

from typing import Final

from codegen.alert_rules import Alert, Rule, Severity, course, growth, learner, while_training

NAMED: Final = "GRPORun {{ $labels.namespace }}/{{ $labels.run }}"
REWARD: Final = course("avg_over_time", "grpo_reward", "15m")
SPREAD: Final = course("avg_over_time", "grpo_reward_std", "6h")
KL: Final = course("avg_over_time", "grpo_kl", "5m")
ENTROPY: Final = course("avg_over_time", "grpo_entropy", "15m")
CHANGE_OF_REWARD: Final = (
    f"abs({course('avg_over_time', 'grpo_reward', '1h')} - {course('avg_over_time', 'grpo_reward', '1h', offset='6h')})"
)
FAILED_SCORES: Final = growth("grpo_reward_errors_total", "15m", 'reason!="UnparsableSolution"')
COMPLETIONS: Final = growth("grpo_generator_completions_total", "15m")
NOT_FINITE: Final = (
    "max by (namespace, run) (sum by (namespace, run, metric) "
    '(increase(grpo_not_finite_total{metric!~"grpo_eval_.*"}[15m])))'
)

LEARNING: Final = (
    Alert(
        "GRPORewardCollapse",
        (
            Rule(
                f"max_over_time(({REWARD})[6h:5m]) - {REWARD} > {SPREAD}",
                Severity.WARNING,
                f"The reward of {NAMED} has fallen by {{{{ printf `%.3g` $value }}}} from the best quarter of an hour of the last six "
                "hours, which is more than its spread.",
                "15m",
            ),
        ),
    ),
    Alert(
        "GRPORewardFlat",
        (
            Rule(
                while_training(f"{CHANGE_OF_REWARD} <= 0.05 * {SPREAD}"),
                Severity.INFO,
                f"The reward of {NAMED} has changed by {{{{ printf `%.3g` $value }}}} in six hours.",
                "1h",
            ),
        ),
    ),
    Alert(
        "GRPOKLExplosion",
        (
            Rule(
                f"{KL} > 10",
                Severity.CRITICAL,
                f"The KL divergence of {NAMED} from its reference policy is {{{{ printf `%.3g` $value }}}}.",
                "5m",
            ),
            Rule(
                f"{KL} > 0.5 and {KL} > 5 * {course('avg_over_time', 'grpo_kl', '1h', offset='10m')}",
                Severity.WARNING,
                f"The KL divergence of {NAMED} is {{{{ printf `%.3g` $value }}}}, five times what it was an hour ago or more.",
                "5m",
            ),
        ),
    ),
    Alert(
        "GRPOEntropyCollapse",
        (
            Rule(
                f"{ENTROPY} < 0.1 * max_over_time(({ENTROPY})[1d:10m])",
                Severity.WARNING,
                f"The entropy of {NAMED} is {{{{ printf `%.3g` $value }}}} nats per token, less than a tenth of what it was.",
                "15m",
            ),
        ),
    ),
    Alert(
        "GRPOLossNaN",
        (
            Rule(
                f"{NOT_FINITE} / {growth('grpo_step_seconds_count', '15m')} > 0.5",
                Severity.CRITICAL,
                f"Gradients, or other metrics, of {{{{ $value | humanizePercentage }}}} of the steps of {NAMED} are NaN or infinite.",
                "5m",
            ),
        ),
    ),
    Alert(
        "GRPOTruncatedShareHigh",
        (
            Rule(
                f"{course('avg_over_time', 'grpo_completion_clipped_ratio', '30m')} > 0.5",
                Severity.WARNING,
                f"{{{{ $value | humanizePercentage }}}} of the completions of {NAMED} are cut off at max_completion_length.",
                "30m",
            ),
        ),
    ),
    Alert(
        "GRPOZeroVarianceShareHigh",
        (
            Rule(
                f"{course('avg_over_time', 'grpo_reward_zero_std_ratio', '30m')} > 0.8",
                Severity.WARNING,
                f"In {{{{ $value | humanizePercentage }}}} of the groups of {NAMED} all completions have earned the same.",
                "30m",
            ),
        ),
    ),
    Alert(
        "GRPORewardErrors",
        (
            Rule(
                f"{FAILED_SCORES} / {COMPLETIONS} > 0.05",
                Severity.WARNING,
                f"Reward functions of {NAMED} have given {{{{ $value | humanizePercentage }}}} of its completions no score.",
                "5m",
            ),
        ),
    ),
    Alert(
        "GRPOLearnersIdle",
        (
            Rule(
                f"{learner('grpo_learner_idle_ratio')} > 0.5",
                Severity.WARNING,
                f"Learners of {NAMED} wait {{{{ $value | humanizePercentage }}}} of their time for completions.",
                "15m",
            ),
        ),
    ),
)
