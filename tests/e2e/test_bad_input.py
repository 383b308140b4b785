"""A user's mistake ends the run within a minute of the pod's start, without a restart, in one sentence."""

from typing import Any

import pytest

from harness.demo_runs import NO_NODE, small_run
from harness.kubectl import Kubectl, condition
from harness.outages import wait_through_outages
from harness.runs import SOON_S, seconds_between, wait_for_phase, warnings_of

MISTAKES: dict[str, tuple[dict[str, Any], str, str]] = {
    "data-set": ({"dataset_name": "/volume/demo/none.jsonl"}, "DatasetNotFound", "/volume/demo/none.jsonl"),
    "column": ({"dataset_prompt_column": "question"}, "ColumnNotFound", "question"),
    "model": ({"model_name_or_path": "/volume/demo/none"}, "ModelNotFound", "/volume/demo/none"),
    "reward": ({"reward_funcs": ["accuracy", "nowhere:reward"]}, "RewardNotFound", "nowhere:reward"),
}


@pytest.fixture(scope="module")
def wrong_runs(namespace: Kubectl) -> Kubectl:
    """Their namespace; each has the name of its mistake. Learners find it; servers would cost a minute of CPU."""
    namespace.apply(
        *(small_run(mistake, recipe=recipe, generators=NO_NODE) for mistake, (recipe, _, _) in MISTAKES.items())
    )
    return namespace


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistake_ends_the_run(wrong_runs: Kubectl, mistake: str) -> None:
    _, reason, named = MISTAKES[mistake]
    run = wait_for_phase(wrong_runs, mistake, "Failed", 120)

    failed = condition(run, "Failed")
    assert failed is not None
    assert (failed["status"], failed["reason"]) == ("True", reason)
    assert named in failed["message"]
    assert run["status"]["attempt"] == 1
    assert run["status"]["lastFailure"]["reason"] == reason
    assert run["status"]["lastFailure"]["exitCode"] == 78
    assert any(named in line for line in run["status"]["lastFailure"]["log"])
    assert seconds_between(run["status"]["startedAt"], run["status"]["finishedAt"]) <= 60
    wait_through_outages("its Event", lambda: is_told(wrong_runs, mistake, reason, named), SOON_S)


def is_told(kubectl: Kubectl, run: str, reason: str, named: str) -> bool:
    return any(told == reason and named in note for told, note in warnings_of(kubectl, run))
