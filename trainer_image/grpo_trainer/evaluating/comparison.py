"""By what evaluations are compared: metric_for_best_model, as transformers reads it."""

import math
from collections.abc import Mapping
from typing import Any

from grpo_contract.comparison import METRIC, OF_A_CLOCK
from grpo_contract.failure import PodReason, UserError

PREFIX = "eval_"


def compared_key(metric: str) -> str:
    """The key of metric_for_best_model in the results of an evaluation."""
    return f"{PREFIX}{metric.removeprefix(PREFIX)}"


def described_best(value: float, metric: str) -> str:
    return f"{compared_key(metric)} {value:.4g}"


def comparable(value: Any) -> float | None:
    """None, or no number: no completion had such a figure, be it that rewards were out of order. That says nothing of the
    model, and what compares evaluations leaves this one out."""
    return value if isinstance(value, int | float) and math.isfinite(value) else None


def check_metric(metric: str | None, results: Mapping[str, Any]) -> None:
    """
    Raises:
        UserError: an evaluation has no such figure.
    """
    if metric is None or compared_key(metric) in results:
        return
    figures = sorted(key.removeprefix(PREFIX) for key in results if key.startswith(PREFIX))
    known = ", ".join(name for name in figures if name not in OF_A_CLOCK)
    raise UserError(
        PodReason.INVALID_RECIPE,
        f"spec.recipe.{METRIC} is '{metric}', which is no figure of an evaluation; set it to one of {known}.",
    )
