"""By what evaluations are compared: metric_for_best_model, as transformers reads it."""

import math
from collections.abc import Mapping
from typing import Any

from grpo_contract.failure import PodReason, UserError
from grpo_contract.progress import BestEvaluation
from grpo_contract.recipe.comparison import PREFIX
from grpo_contract.recipe.figures import no_figure


def compared_key(metric: str) -> str:
    """The key of metric_for_best_model in the results of an evaluation."""
    return f"{PREFIX}{metric.removeprefix(PREFIX)}"


def described_best(value: float, metric: str) -> str:
    return f"{compared_key(metric)} {value:.4g}"


def best_so_far(state: Any, metric: str | None) -> BestEvaluation | None:
    """Of a trainer's state. None: no evaluation was compared yet."""
    if metric is None or state.best_global_step is None:
        return None
    return BestEvaluation(step=state.best_global_step, metric=compared_key(metric), value=state.best_metric)


def comparable(value: Any) -> float | None:
    """None, or no number: no completion had such a figure, be it that rewards were out of order. That says nothing of the
    model, and what compares evaluations leaves this one out."""
    return value if isinstance(value, int | float) and math.isfinite(value) else None


def check_metric(metric: str, results: Mapping[str, Any]) -> None:
    """
    Raises:
        UserError: an evaluation has no such figure.
    """
    if compared_key(metric) not in results:
        figures = [key.removeprefix(PREFIX) for key in results if key.startswith(PREFIX)]
        raise UserError(PodReason.INVALID_RECIPE, no_figure(metric, figures))
