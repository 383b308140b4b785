"""What a learner's process loads before its first line of work: each second is one of every attempt's start."""

import json
import subprocess
import sys
from pathlib import Path

import grpo_trainer

LOADED = "import json, sys, grpo_trainer.training; print(json.dumps(sorted(m.partition('.')[0] for m in sys.modules)))"


def test_what_the_learner_does_not_use_is_not_loaded() -> None:
    sources = str(Path(grpo_trainer.__file__).parents[1])
    result = subprocess.run(
        [sys.executable, "-c", LOADED], cwd=sources, stdout=subprocess.PIPE, timeout=300, check=True
    )
    loaded = set(json.loads(result.stdout.splitlines()[-1]))

    assert {"trl", "transformers", "torch"} <= loaded
    assert {"vllm", "openai", "fastapi", "deepspeed", "wandb", "tensorboardX"} & loaded == set()
