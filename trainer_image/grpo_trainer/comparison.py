"""By what evaluations are compared: metric_for_best_model, as transformers reads it."""

import math
from collections.abc import Mapping
from typing import Any

from transformers import TrainingArguments

from grpo_contract.comparison import FOLLOWING_SCHEDULES, METRIC, OF_A_CLOCK
from grpo_contract.failure import PodReason, UserError

PREFIX = "eval_"


def compared_key(metric: str) -> str:
    """The key of metric_for_best_model in the results of an evaluation."""
    return f"{PREFIX}{metric.removeprefix(PREFIX)}"


def described_best(value: float, metric: str) -> str:
    return f"{compared_key(metric)} {value:.4g}"


def comparable(value: Any) -> float | None:
    """None, or no number: no completion had such a figure, and no evaluation is better for that."""
    return value if isinstance(value, int | float) and math.isfinite(value) else None


def with_number(args: TrainingArguments, results: dict[str, Any]) -> dict[str, Any]:
    """With NaN, which is better than nothing, for a figure that there is none of: schedules compare numbers."""
    if args.metric_for_best_model is None or results[key := compared_key(args.metric_for_best_model)] is not None:
        return results
    return results | {key: math.nan}


def schedule_arguments(args: TrainingArguments) -> dict[str, Any] | None:
    """lr_scheduler_kwargs. A schedule that follows evaluations takes lower for better unless it is told."""
    if args.lr_scheduler_type not in FOLLOWING_SCHEDULES:
        return args.lr_scheduler_kwargs  # type: ignore[no-any-return]
    return {"mode": "max" if args.greater_is_better else "min"} | (args.lr_scheduler_kwargs or {})


def check_metric(args: TrainingArguments, results: Mapping[str, Any]) -> None:
    """
    Raises:
        UserError: an evaluation has no such figure.
    """
    metric: str | None = args.metric_for_best_model
    if metric is None or compared_key(metric) in results:
        return
    figures = sorted(key.removeprefix(PREFIX) for key in results if key.startswith(PREFIX))
    known = ", ".join(name for name in figures if name not in OF_A_CLOCK)
    raise UserError(
        PodReason.INVALID_RECIPE,
        f"spec.recipe.{METRIC} is '{metric}', which is no figure of an evaluation; set it to one of {known}.",
    )
