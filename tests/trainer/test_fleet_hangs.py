"""A fleet that neither works nor fails ends the attempt in a named reason."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from grpo_contract import environment

RANK = Path(__file__).with_name("hung_fleet_rank.py")
ENDS_WITHIN_S = 240


@pytest.mark.parametrize(
    ("max_staleness", "reason", "step", "field"),
    [
        (0, "WeightSyncTimeout", "waiting for generators to take new weights", "weightSyncSeconds"),
        (1, "GenerateTimeout", "waiting for completions", "generateSeconds"),
    ],
)
def test_a_fleet_that_hangs(
    max_staleness: int, reason: str, step: str, field: str, tiny_model: Path, tmp_path: Path
) -> None:
    ended = subprocess.run(
        [sys.executable, str(RANK), str(tiny_model), str(max_staleness)],
        env=os.environ
        | {
            environment.TERMINATION_FILE: str(tmp_path / "termination-log"),
            "PYTHONPATH": ":".join(filter(None, sys.path)),
            "OMP_NUM_THREADS": "1",
            "RANK": "0",
        },
        capture_output=True,
        text=True,
        timeout=ENDS_WITHIN_S,
    )
    assert ended.returncode == 1, ended.stderr
    failure = json.loads((tmp_path / "termination-log").read_text())
    assert failure["reason"] == reason
    assert f" s while {step}: its main thread is in wait (threading.py, line " in failure["message"]
    assert ", called from take (inbox.py, line " in failure["message"]
    assert failure["message"].endswith(f"or raise spec.deadlines.{field} where it rightly takes so long.")
    for function in ("in take", "in urls", "in submit" if max_staleness else "in sync"):
        assert function in ended.stderr
