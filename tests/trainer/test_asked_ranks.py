"""What ranks of several pods do when one of the pods is asked to end: all of them the same."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

RANKS = 2


@pytest.fixture(scope="module")
def results(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    out = tmp_path_factory.mktemp("ranks")
    script = Path(__file__).with_name("asked_rank.py")
    subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={RANKS}"),
            *(str(script), str(tiny_model), str(out)),
        ],
        env=os.environ | {"PYTHONPATH": ":".join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"},
        check=True,
        timeout=300,
    )
    return [json.loads((out / f"rank{rank}.json").read_text()) for rank in range(RANKS)]


def test_all_leave_the_wait_for_completions(results: list[dict[str, Any]]) -> None:
    asked = "LearnerAskedToEnd: while completions were waited for"
    assert [(result["wait"], result["may break off"]) for result in results] == [(asked, False)] * RANKS


def test_all_decide_alike(results: list[dict[str, Any]]) -> None:
    assert [result["any"] for result in results] == [[True, False]] * RANKS
