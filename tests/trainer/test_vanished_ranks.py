"""A node that vanishes closes no connection, and a collective with it would wait for its deadline."""

import os
import subprocess
import sys
from pathlib import Path

from trainer.learner_pod import WITH_TESTS


def test_ranks_miss_each_other_when_the_network_is_gone() -> None:
    ended = subprocess.run(
        ["unshare", "--net", sys.executable, str(Path(__file__).with_name("vanishing_ranks.py"))],
        env=os.environ | {"PYTHONPATH": WITH_TESTS},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (ended.stdout, ended.returncode) == ("rank 0 misses 1 and rank 1 misses 0\n", 0), ended.stderr
