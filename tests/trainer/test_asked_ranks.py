"""What ranks of several pods do when one of the pods is asked to end: all of them the same."""

import json
from pathlib import Path
from typing import Any

import pytest

from trainer.ranks import run_two_ranks

RANKS = 2


@pytest.fixture(scope="module")
def results(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    out = tmp_path_factory.mktemp("ranks")
    run_two_ranks("asked_rank.py", str(tiny_model), str(out))
    return [json.loads((out / f"rank{rank}.json").read_text()) for rank in range(RANKS)]


def test_all_leave_the_wait_for_completions(results: list[dict[str, Any]]) -> None:
    asked = "LearnerAskedToEnd: while completions were waited for"
    assert [(result["wait"], result["may break off"]) for result in results] == [(asked, False)] * RANKS


def test_all_decide_alike(results: list[dict[str, Any]]) -> None:
    assert [result["any"] for result in results] == [[True, False]] * RANKS
