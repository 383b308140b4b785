"""Open-R1's recipes, as manifests/open-r1 has them, make three steps on CPU: the operator's translation, a learner pod of two
ranks, a real generator, and a hub on this machine.

The overlay changes the model, the data set, sizes and secrets, and nothing else.
"""

import json
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from datasets import Dataset, DatasetDict

from grpo_contract.config import RunConfig
from grpo_operator.api.run import GRPORun
from grpo_operator.desired.config import run_config
from harness.layout import MANIFESTS
from harness.merge_patch import merge_patch
from trainer.hub_server import running_hub
from trainer.published import OUT_OF_SYNC
from trainer.run_with_generator import run_with_generator
from trainer.running_generator import RunningGenerator
from unit.desired_inputs import make_settings

SAMPLES: Final = sorted((MANIFESTS / "open-r1").glob("*.yaml"))
METADATA: Final = {"namespace": "team", "uid": "11111111-2222-3333-4444-555555555555"}
STEPS: Final = 3
RUN_S: Final = 420


def overlay(model: Path, data: Path) -> dict[str, Any]:
    sizes = {"max_steps": STEPS, "max_completion_length": 32, "per_device_train_batch_size": 2, "num_generations": 4}
    sizes["logging_steps"] = 1  # one recipe's tenth step is not reached
    small = {"gpus": 0, "resources": None, "env": None}
    return {
        "metadata": METADATA,
        "spec": {
            "recipe": {"model_name_or_path": str(model), "dataset_name": str(data), **sizes},
            "learners": small | {"processes": 2},
            "generators": small,
        },
    }


def write_data(folder: Path) -> Path:
    """With the splits that NuminaMath-TIR has."""
    rows = {"train": (0, 200), "test": (200, 208)}
    splits = {
        split: Dataset.from_list([{"problem": f"What is {i} + 1?", "solution": f"${i + 1}$"} for i in range(*places)])
        for split, places in rows.items()
    }
    DatasetDict(splits).save_to_disk(folder)
    return folder


def config_of(sample: Path, model: Path, data: Path) -> RunConfig:
    """As the operator writes it for the sample's pods, but for the address: there is no cluster."""
    config = run_config(
        GRPORun.parse(merge_patch(yaml.safe_load(sample.read_text()), overlay(model, data))), make_settings()
    )
    return config.model_copy(update={"learners": config.learners.model_copy(update={"rendezvous_host": "localhost"})})


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.stem)
def test_a_sample_learns(sample: Path, tiny_model: Path, generator: RunningGenerator, tmp_path: Path) -> None:
    config = config_of(sample, tiny_model, write_data(tmp_path / "data"))
    with (
        running_hub() as hub,
        run_with_generator(generator, tmp_path, config, hub.environment) as pod,
    ):
        assert pod.wait(RUN_S) == 0, pod.tail()
        assert "go elsewhere" not in pod.log.read_text()  # the generator is well
    (run_folder,) = (pod.volume / "runs").iterdir()
    history = json.loads((run_folder / "model" / "trainer_state.json").read_text())["log_history"]
    steps = [entry for entry in history if "reward" in entry]
    assert [entry["step"] for entry in steps] == list(range(1, STEPS + 1))
    for entry in steps:
        assert {f"rewards/{name}/mean" for name in config.recipe["reward_funcs"]} <= entry.keys()
        # Rounding alone: the largest of up to 8,192 tokens, at temperature 0.9, came to just above IN_SYNC.
        assert entry["sampling/sampling_logp_difference/max"] < OUT_OF_SYNC
    assert (run_folder / "model" / "eval_results.json").exists() == config.recipe["do_eval"]
    (repository,) = hub.repositories.values()
    assert repository.titles()[-1] == "End of training"
    assert list((run_folder / "trackers").glob("wandb/wandb/offline-run-*"))
