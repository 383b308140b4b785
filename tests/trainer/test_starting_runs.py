"""A run that starts from the checkpoint of another training makes the steps that this one would have made."""

import errno
import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, TrainerControl, TrainerState

from grpo_contract.config import RunConfig
from grpo_contract.failure import UserError
from grpo_contract.files import checkpoint_folder, run_folder
from grpo_trainer.storage.checkpoint_files import MARKER
from grpo_trainer.storage.starting_states import StepsLeft, check_shapes, resuming_named
from trainer.learner_inputs import learner_config, write_problems
from trainer.learner_pod import LearnerPod
from trainer.stock_trl_zero3 import OUTPUT
from trainer.test_zero3 import Finished, numbers, run

STOCK = Path(__file__).with_name("stock_trl_zero3.py")
STEPS = 4
SOURCE_STEPS = 2
UIDS = {"source": "a" * 36, "second": "b" * 36}
OF_TRL = f"{OUTPUT}/checkpoint-{SOURCE_STEPS}"


def config_of(model: Path, data: Path, uid: str, **recipe: Any) -> RunConfig:
    keys: dict[str, Any] = {
        "max_steps": STEPS,
        "reward_funcs": ["trainer.parity_inputs:digits"],
        "lr_scheduler_type": "constant",  # any other would depend on how many steps there are
        "vllm_importance_sampling_correction": False,
    }
    return learner_config(model, data, every_steps=1, **keys | recipe).model_copy(update={"uid": UIDS[uid]})


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_problems(tmp_path_factory.mktemp("data") / "train.jsonl")


@pytest.fixture(scope="module")
def whole(tiny_model: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    return run(tmp_path_factory.mktemp("whole"), config_of(tiny_model, data, "source"), "zero3")


@pytest.fixture(scope="module")
def source(tiny_model: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    config = config_of(tiny_model, data, "source", max_steps=SOURCE_STEPS)
    return run(tmp_path_factory.mktemp("source"), config, "zero3")


def contents(folder: Path) -> dict[str, tuple[str, int]]:
    """{file: digest of its bytes, when it was written}"""
    return {
        str(path.relative_to(folder)): (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


def in_volume(folder: Path, config: RunConfig) -> Path:
    return folder / "volume" / Path(run_folder(config.name, config.uid)).relative_to("/volume")


class Second(Finished):
    @property
    def run_folder(self) -> Path:
        return in_volume(self.folder, self.config)


@pytest.fixture(scope="module")
def second(source: Finished, tiny_model: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Second:
    """On the volume of the first, whose files it must leave as they are."""
    folder = tmp_path_factory.mktemp("second")
    shutil.copytree(source.folder / "volume", folder / "volume")
    of_source = in_volume(folder, source.config)
    before = contents(of_source)
    checkpoint = f"{checkpoint_folder(source.config.name, source.config.uid)}/checkpoint-{SOURCE_STEPS}"
    config = config_of(tiny_model, data, "second", resume_from_checkpoint=checkpoint)
    run(folder, config, "zero3")
    assert contents(of_source) == before
    return Second(config, folder)


@pytest.fixture(scope="module")
def resumed(second: Second, source: Finished, tmp_path_factory: pytest.TempPathFactory) -> Second:
    """Its pods were lost while they wrote their last checkpoint, and meanwhile somebody has removed what it started from."""
    folder = tmp_path_factory.mktemp("resumed")
    shutil.copytree(second.folder / "volume", folder / "volume")
    lost = Second(second.config, folder)
    shutil.rmtree(lost.model)
    (lost.run_folder / "checkpoints" / f"checkpoint-{STEPS}" / MARKER).unlink()
    shutil.rmtree(in_volume(folder, source.config))
    run(folder, lost.config, "zero3")
    return lost


@pytest.fixture(scope="module")
def of_trl(tiny_model: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Second:
    folder = tmp_path_factory.mktemp("of-trl")
    stock = config_of(tiny_model, data, "source", max_steps=SOURCE_STEPS)
    run(folder, stock, "zero3", program=STOCK)
    before = contents(folder / "volume" / "elsewhere")
    config = config_of(tiny_model, data, "second", resume_from_checkpoint=OF_TRL)
    run(folder, config, "zero3")
    assert contents(folder / "volume" / "elsewhere") == before
    return Second(config, folder)


def log_of(run: Finished) -> str:
    return (run.folder / "learner.log").read_text()


def test_it_makes_the_steps_that_are_left_digit_for_digit(whole: Finished, second: Second) -> None:
    assert [entry["step"] for entry in second.steps()] == [
        1,
        2,
        3,
        4,
    ]  # the curve of the model, as transformers keeps it
    assert numbers(second) == numbers(whole)
    assert max(abs(entry["loss"]) for entry in second.steps()) > 0.001
    weights = "model.safetensors"
    assert (second.model / weights).read_bytes() == (whole.model / weights).read_bytes()


def test_it_says_where_it_is(second: Second) -> None:
    log = log_of(second)
    assert f"starting from the checkpoint in {second.config.recipe['resume_from_checkpoint']}\n" in log
    assert f"step {SOURCE_STEPS} of {STEPS}: training begins\n" in log
    assert [step for step in range(1, STEPS + 1) if f"step {step}/{STEPS}  reward " in log] == [3, 4]


def test_an_attempt_that_follows_goes_on_from_the_runs_own(whole: Finished, resumed: Second) -> None:
    assert "resuming from the checkpoint of step 3\n" in log_of(resumed)
    assert "starting from" not in log_of(resumed)
    assert numbers(resumed) == numbers(whole)


def test_a_checkpoint_of_trl(whole: Finished, of_trl: Second) -> None:
    """It logged every tenth step, and this run says each."""
    assert f"step {SOURCE_STEPS} of {STEPS}: training begins\n" in log_of(of_trl)
    assert numbers(of_trl) == numbers(whole)[SOURCE_STEPS:]


def test_another_model_is_found_by_its_parameters(source: Finished, tiny_model: Path) -> None:
    """Of a model on the hub nothing else tells, before it is loaded."""
    checkpoint = source.run_folder / "checkpoints" / f"checkpoint-{SOURCE_STEPS}"
    config = AutoConfig.from_pretrained(tiny_model)
    check_shapes(AutoModelForCausalLM.from_config(config), "org/tiny", 1, checkpoint)
    width = config.intermediate_size
    config.intermediate_size = width + 1
    with pytest.raises(UserError) as refused:
        check_shapes(AutoModelForCausalLM.from_config(config), "org/tiny", 1, checkpoint)
    layer = "model.layers.0.mlp.down_proj.weight"
    assert refused.value.failure.message == (
        f"spec.recipe.resume_from_checkpoint: '{checkpoint}' is of another model, it has {layer} of "
        f"{config.hidden_size} x {width}, and spec.recipe.model_name_or_path 'org/tiny' has {layer} of "
        f"{config.hidden_size} x {width + 1}; name a checkpoint of this model, or set model_name_or_path to the model that was "
        "trained there."
    )


def test_a_damaged_file_is_a_mistake_of_the_users(source: Finished, tiny_model: Path, tmp_path: Path) -> None:
    checkpoint = shutil.copytree(source.run_folder / "checkpoints" / f"checkpoint-{SOURCE_STEPS}", tmp_path / "damaged")
    for states in checkpoint.glob("global_step*/*model_states.pt"):
        os.truncate(states, 1000)
    model = AutoModelForCausalLM.from_pretrained(tiny_model)
    with pytest.raises(
        UserError, match=r"damaged' cannot be loaded \(RuntimeError: PytorchStreamReader .*\); name the folder"
    ):
        check_shapes(model, "org/tiny", 0, checkpoint)


def deepspeed_load_checkpoint(error: Exception) -> None:
    """As transformers' function of that name."""
    raise error


def test_what_libraries_say_of_a_checkpoint_is_said_of_the_key(tmp_path: Path) -> None:
    with pytest.raises(UserError) as refused, resuming_named(tmp_path):
        deepspeed_load_checkpoint(KeyError("optimizer_state_dict"))
    assert refused.value.failure.message == (
        f"spec.recipe.resume_from_checkpoint: '{tmp_path}' cannot be loaded (KeyError: 'optimizer_state_dict'); name the folder "
        "of one checkpoint on the run's volume, which is mounted at /volume, or leave it out to start from the model."
    )


@pytest.mark.parametrize("error", [OSError(errno.EIO, "Input/output error"), torch.OutOfMemoryError("CUDA")])
def test_trouble_while_it_is_loaded_is_for_another_attempt(tmp_path: Path, error: Exception) -> None:
    with pytest.raises(type(error)), resuming_named(tmp_path):
        deepspeed_load_checkpoint(error)


def test_errors_of_the_training_stay_as_they_are(tmp_path: Path) -> None:
    with pytest.raises(KeyError), resuming_named(tmp_path):
        raise KeyError("reward")
    with pytest.raises(KeyError), resuming_named(None):
        deepspeed_load_checkpoint(KeyError("of the run's own"))


@pytest.mark.parametrize("step", [4, 5])
def test_a_checkpoint_of_the_last_step(tmp_path: Path, step: int) -> None:
    arguments: Any = None
    start = StepsLeft(tmp_path)
    start.on_train_begin(arguments, TrainerState(global_step=3, max_steps=4), TrainerControl())
    with pytest.raises(UserError) as refused:
        start.on_train_begin(arguments, TrainerState(global_step=step, max_steps=4), TrainerControl())
    assert refused.value.failure.message == (
        f"spec.recipe.resume_from_checkpoint: '{tmp_path}' is of step {step}, and the run has 4 steps (num_train_epochs), "
        "counted from the first one of all, so that none is left; raise num_train_epochs."
    )


def refusal(folder: Path, config: RunConfig) -> dict[str, str]:
    """What the pod leaves for the operator."""
    pod = LearnerPod(folder, config)
    try:
        assert pod.wait(120) == 78, pod.tail()
    finally:
        pod.kill()
    left: dict[str, str] = json.loads(pod.termination_file.read_text())
    return left


def test_a_missing_one_ends_the_run_before_anything_is_loaded(tiny_model: Path, data: Path, tmp_path: Path) -> None:
    config = config_of(
        tiny_model, data, "second", resume_from_checkpoint="/volume/kept/checkpoint-2", reward_funcs=["accuracy"]
    )
    assert refusal(tmp_path, config) == {
        "reason": "InvalidRecipe",
        "message": "spec.recipe.resume_from_checkpoint: '/volume/kept/checkpoint-2' does not exist, nor does /volume/kept; name "
        "the folder of one checkpoint on the run's volume, which is mounted at /volume, or leave it out to start from the "
        "model.",
    }


def test_an_adapter(tiny_model: Path, data: Path, tmp_path: Path) -> None:
    keys = {"use_peft": True, "lora_r": 4, "lora_target_modules": "all-linear", "learning_rate": 1e-2}
    source = config_of(tiny_model, data, "source", **keys)
    whole = run(tmp_path, source, "zero3")
    checkpoint = f"{checkpoint_folder(source.name, source.uid)}/checkpoint-3"
    config = config_of(tiny_model, data, "second", resume_from_checkpoint=checkpoint, **keys)
    expected = numbers(whole)
    run(tmp_path, config, "zero3")
    assert numbers(Second(config, tmp_path)) == expected
