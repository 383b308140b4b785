"""Names in report_to that are no trackers, and neighbours that are."""

from typing import Any

import pytest

from grpo_contract.recipe.trackers import tracker_mistake

REFUSED: list[tuple[Any, str]] = [
    (["wandbb"], "holds wandbb, which is no tracker that transformers knows; did you mean wandb?"),
    ("mlfow", "holds mlfow, which is no tracker that transformers knows; did you mean mlflow?"),
    (
        ["wandb", "prometheus", "csv"],
        "holds prometheus, which is no tracker that transformers knows; leave it out, since metrics are in Prometheus anyway.",
    ),
    ("al", "holds al, which is no tracker that transformers knows; did you mean all?"),
]
TAKEN: list[Any] = [None, "none", [], ["none"], "all", ["wandb", "tensorboard", "trackio"], "mlflow", ["swanlab"]]


@pytest.mark.parametrize(("report_to", "sentence"), REFUSED)
def test_what_is_no_tracker(report_to: Any, sentence: str) -> None:
    assert tracker_mistake({"report_to": report_to}) == f"spec.recipe.report_to {sentence}"


@pytest.mark.parametrize("report_to", TAKEN)
def test_what_is_one(report_to: Any) -> None:
    assert tracker_mistake({"report_to": report_to}) is None
