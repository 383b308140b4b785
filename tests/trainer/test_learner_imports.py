"""What processes load before their first line of work: each second is one of every attempt's start.

Each is asked in a fresh interpreter what it has loaded. A module that is named here is one that was seen to cost time, or
that a line too many would bring along.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import grpo_trainer
from trainer.learner_inputs import learner_config

TRAINING = {"torch", "transformers", "trl", "accelerate", "deepspeed", "datasets", "peft"}
DATA = {"numpy", "pandas", "pyarrow", "sympy", "PIL", "tokenizers", "safetensors"}
SERVING = {"vllm", "openai", "fastapi", "uvicorn", "starlette"}
TRACKING = {"wandb", "tensorboard", "tensorboardX", "trackio", "gradio_client"}
HUB = {"huggingface_hub", "httpx", "requests"}
SCORING = {"math_verify", "latex2sympy2_extended"}
NEVER = {"tensorflow", "jax", "flax", "sklearn", "scipy", "librosa", "torchvision", "matplotlib", "IPython", "pytest"}

# {module that is run or imported first: what must not come with it}
LIGHT = TRAINING | DATA | SERVING | TRACKING | HUB | SCORING | NEVER
NOT_LOADED = {
    "grpo_trainer.launch": LIGHT | {"prometheus_client"},
    "grpo_trainer.worker": LIGHT,
    "grpo_trainer.training": SERVING | TRACKING | SCORING | NEVER | {"deepspeed"},
    "grpo_trainer.rewards.processes.worker": LIGHT | {"prometheus_client"},
    "grpo_trainer.trackers.track": LIGHT | {"prometheus_client"},
    "grpo_trainer.hub.push": (LIGHT - HUB) | {"requests", "prometheus_client"},
    "grpo_generator.__main__": LIGHT | {"prometheus_client"},
    "grpo_generator.server": LIGHT | {"prometheus_client"},
}
LOADED = "import json, sys, {}; print(json.dumps(sorted(m.partition('.')[0] for m, of in sys.modules.items() if of)))"
RANK = """
import contextlib, json, sys
from pathlib import Path
from typing import Any
from grpo_contract.pod import read_config
from grpo_trainer import device, worker
def stop(*_):
    print(json.dumps(sorted(m.partition(".")[0] for m, of in sys.modules.items() if of)))
    sys.exit(0)
device.process_group = stop
worker.learn(read_config(Path({!r})))
"""
"""A rank as far as it comes without the others."""


def loaded_with(module: str) -> set[str]:
    return loaded_by(LOADED.format(module))


def loaded_by(program: str) -> set[str]:
    sources = str(Path(grpo_trainer.__file__).parents[1])
    result = subprocess.run(
        [sys.executable, "-c", program],
        cwd=sources,
        env=os.environ | {"RANK": "1", "LOCAL_RANK": "1"},
        stdout=subprocess.PIPE,
        timeout=300,
        check=True,
    )
    return set(json.loads(result.stdout.splitlines()[-1]))


@pytest.mark.parametrize("module", NOT_LOADED)
def test_what_a_process_does_not_use_is_not_loaded(module: str) -> None:
    loaded = loaded_with(module)
    assert module.partition(".")[0] in loaded
    assert NOT_LOADED[module] & loaded == set()


@pytest.mark.parametrize(
    ("recipe", "wanted"),
    [
        ({"use_peft": False}, set()),
        ({"use_peft": True}, {"peft"}),
        ({"use_peft": True, "load_in_4bit": True}, {"peft", "bitsandbytes"}),
    ],
    ids=["whole", "adapter", "quantised"],
)
def test_what_only_some_recipes_use_is_loaded_for_them(
    tmp_path: Path, recipe: dict[str, Any], wanted: set[str]
) -> None:
    """transformers, TRL and peft import it wherever it is installed."""
    config = learner_config(tmp_path / "model", tmp_path / "train.jsonl", **recipe)
    (tmp_path / "run.json").write_text(config.model_dump_json())
    loaded = loaded_by(RANK.format(str(tmp_path / "run.json")))
    assert {"trl", "transformers", "torch"} <= loaded, "else a name in the table says nothing"
    assert {"peft", "bitsandbytes"} & loaded == wanted
