"""Folders that a run cannot start from, told apart before torch is imported."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from grpo_contract.config import RunConfig
from grpo_contract.failure import UserError
from grpo_contract.recipe.precision import precision_of
from grpo_trainer.storage import starting_checkpoint
from grpo_trainer.storage.starting_checkpoint import check_starting_checkpoint
from trainer.learner_inputs import learner_config

REMEDY = (
    "; name the folder of one checkpoint on the run's volume, which is mounted at /volume, or leave it out to start from the "
    "model."
)
SHAPE = {"model_type": "qwen2", "hidden_size": 64, "num_hidden_layers": 2}


@pytest.fixture(autouse=True)
def volume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Whatever lies below it is on the volume; the run has nothing there yet."""
    monkeypatch.setattr(starting_checkpoint, "is_on_volume", lambda path: True)
    monkeypatch.setattr(starting_checkpoint, "RUNS", tmp_path / "runs")
    monkeypatch.setattr(starting_checkpoint, "checkpoint_folder", lambda name, uid: tmp_path / "own" / "checkpoints")
    monkeypatch.setattr(starting_checkpoint, "model_folder", lambda name, uid: tmp_path / "own" / "model")
    return tmp_path


@pytest.fixture
def checkpoint(volume: Path) -> Path:
    """As TRL leaves one of step 2, written by 2 ranks in float32."""
    folder = volume / "checkpoint-2"
    states = folder / "global_step2"
    states.mkdir(parents=True)
    for rank in (0, 1):
        (states / f"zero_pp_rank_{rank}_mp_rank_00_model_states.pt").touch()
        (states / f"zero_pp_rank_{rank}_mp_rank_00_optim_states.pt").touch()
    (folder / "latest").write_text("global_step2")
    (folder / "scheduler.pt").touch()
    (folder / "config.json").write_text(json.dumps(SHAPE))
    (folder / "trainer_state.json").write_text(json.dumps({"global_step": 2}))
    return folder


def config_of(folder: Path, **recipe: Any) -> RunConfig:
    model = folder.parent / "model"
    model.mkdir(exist_ok=True)
    (model / "config.json").write_text(json.dumps(SHAPE))
    return learner_config(model, folder.parent / "train.jsonl", **{"resume_from_checkpoint": str(folder)} | recipe)


def refusal(config: RunConfig) -> str:
    with pytest.raises(UserError) as refused:
        check_starting_checkpoint(config)
    assert refused.value.failure.reason == "InvalidRecipe"
    field = f"spec.recipe.resume_from_checkpoint: {config.recipe['resume_from_checkpoint']!r} "
    assert str(refused.value).startswith(field)
    return str(refused.value).removeprefix(field)


def test_a_checkpoint_of_trl(checkpoint: Path) -> None:
    check_starting_checkpoint(config_of(checkpoint))
    check_starting_checkpoint(config_of(checkpoint, max_steps=-1))


def test_a_run_of_trl_without_its_whole_model(checkpoint: Path) -> None:
    """stage3_gather_16bit_weights_on_model_save is false by default."""
    (checkpoint / "config.json").unlink()
    check_starting_checkpoint(config_of(checkpoint))


@pytest.mark.parametrize("value", [None, True, False])
def test_what_names_no_folder_is_not_looked_at(volume: Path, value: bool | None) -> None:
    check_starting_checkpoint(config_of(volume / "checkpoint-2", resume_from_checkpoint=value))


def remove(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def write(name: str, text: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_text(text)


def rename_states(pattern: str, name: str) -> Callable[[Path], None]:
    def rename(folder: Path) -> None:
        for place, file in enumerate(sorted((folder / "global_step2").glob(pattern))):
            file.rename(file.with_name(name.format(place)))

    return rename


IN_FOLDER = "config.json, global_step2, "
BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "no state of the training": (
        remove("trainer_state.json"),
        f"is no checkpoint that training under DeepSpeed could go on from, it has no trainer_state.json but {IN_FOLDER}latest, scheduler.pt",
    ),
    "a model only": (
        remove("latest"),
        f"is no checkpoint that training under DeepSpeed could go on from, it has no latest but {IN_FOLDER}scheduler.pt, trainer_state.json",
    ),
    "no scheduler": (
        remove("scheduler.pt"),
        f"is no checkpoint that training under DeepSpeed could go on from, it has no scheduler.pt but {IN_FOLDER}latest, trainer_state.json",
    ),
    "no JSON": (write("trainer_state.json", "{"), "is no checkpoint, its trainer_state.json names no global_step"),
    "no step": (write("trainer_state.json", "[]"), "is no checkpoint, its trainer_state.json names no global_step"),
    "states that are not there": (
        write("latest", "global_step4\n"),
        "is not complete, its latest names global_step4, and it has config.json, global_step2, latest, scheduler.pt, "
        "trainer_state.json",
    ),
    "another stage": (
        rename_states("*model_states.pt", "mp_rank_0{}_model_states.pt"),
        "was not written under ZeRO-3, global_step2 holds mp_rank_00_model_states.pt, mp_rank_01_model_states.pt, "
        "zero_pp_rank_0_mp_rank_00_optim_states.pt, zero_pp_rank_1_mp_rank_00_optim_states.pt",
    ),
    "a part that is missing": (
        remove("global_step2/zero_pp_rank_1_mp_rank_00_optim_states.pt"),
        "is not complete, global_step2 holds the model of 2 ranks and the optimizer of 1",
    ),
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_is_no_checkpoint(checkpoint: Path, what: str) -> None:
    damage, problem = BROKEN[what]
    damage(checkpoint)
    assert refusal(config_of(checkpoint)) == f"{problem}{REMEDY}"


def test_a_folder_that_is_not_there(volume: Path) -> None:
    (volume / "checkpoint-3").touch()
    assert refusal(config_of(volume / "checkpoint-2")) == f"does not exist, {volume} holds checkpoint-3, model{REMEDY}"
    assert refusal(config_of(volume / "checkpoint-3")) == f"is a file{REMEDY}"


def test_a_folder_of_checkpoints(volume: Path, checkpoint: Path) -> None:
    kept = volume / "kept"
    kept.mkdir()
    checkpoint.rename(kept / "checkpoint-2")
    assert refusal(config_of(kept)) == (
        f"is no checkpoint that training under DeepSpeed could go on from, it has no trainer_state.json but checkpoint-2{REMEDY}"
    )


def test_one_that_another_run_is_still_writing(volume: Path, checkpoint: Path) -> None:
    (volume / "runs").mkdir()
    of_run = checkpoint.rename(volume / "runs" / "checkpoint-2")
    assert refusal(config_of(of_run)) == f"is not complete, it has no complete.json, which a run writes last{REMEDY}"
    (of_run / "complete.json").touch()
    check_starting_checkpoint(config_of(of_run))


def test_another_number_of_ranks(checkpoint: Path) -> None:
    config = config_of(checkpoint)
    of_four = config.model_copy(update={"learners": config.learners.model_copy(update={"pods": 2})})
    assert refusal(of_four) == (
        "was written by 2 learner processes, and this run has 4, while each reads its own part; set spec.learners.replicas and "
        "gpus so that there are 2, or name a checkpoint of 4."
    )


def test_another_precision(checkpoint: Path) -> None:
    rename_states("*optim_states.pt", "bf16_zero_pp_rank_{}_mp_rank_00_optim_states.pt")(checkpoint)
    assert refusal(config_of(checkpoint)) == (
        "was trained in bfloat16, and this run computes in float32 (on CPU); set spec.recipe.bf16 to true on GPUs, or name "
        "another checkpoint."
    )
    config = config_of(checkpoint, bf16=False)
    on_gpus = config.model_copy(update={"learners": config.learners.model_copy(update={"device": "cuda"})})
    assert refusal(on_gpus) == (
        "was trained in bfloat16, and this run computes in float32 (by bf16 and fp16 of the recipe); set spec.recipe.bf16 to "
        "true on GPUs, or name another checkpoint."
    )
    on_gpus.recipe["bf16"] = None
    check_starting_checkpoint(on_gpus)


@pytest.mark.parametrize(
    ("recipe", "on_cuda"),
    [
        ({}, "bfloat16"),
        ({"bf16": True}, "bfloat16"),
        ({"bf16": False}, "float32"),
        ({"fp16": True}, "float16"),
        ({"bf16": False, "fp16": True}, "float16"),
    ],
)
def test_precisions(recipe: dict[str, bool], on_cuda: str) -> None:
    assert (precision_of(recipe, "cuda"), precision_of(recipe, "cpu")) == (on_cuda, "float32")


@pytest.mark.parametrize("max_steps", [1, 2])
def test_no_step_is_left(checkpoint: Path, max_steps: int) -> None:
    assert refusal(config_of(checkpoint, max_steps=max_steps)) == (
        f"is of step 2, and the run has {max_steps} steps (max_steps), counted from the first one of all, so that none is "
        "left; raise max_steps."
    )


def test_another_model(checkpoint: Path) -> None:
    (checkpoint / "config.json").write_text(json.dumps(SHAPE | {"hidden_size": 128}))
    assert refusal(config_of(checkpoint)) == (
        f"is of another model, it has hidden_size 128, and spec.recipe.model_name_or_path '{checkpoint.parent}/model' has "
        "hidden_size 64; name a checkpoint of this model, or set model_name_or_path to the model that was trained there."
    )
    check_starting_checkpoint(config_of(checkpoint, model_name_or_path="org/model"))


def test_an_adapter(checkpoint: Path) -> None:
    assert refusal(config_of(checkpoint, use_peft=True)) == (
        "is a checkpoint of a whole model, and spec.recipe.use_peft is true; set use_peft to false, or name another checkpoint."
    )
    (checkpoint / "adapter_config.json").touch()
    check_starting_checkpoint(config_of(checkpoint, use_peft=True))
    assert refusal(config_of(checkpoint)) == (
        "is a checkpoint of an adapter, and spec.recipe.use_peft is false; set use_peft to true, or name another checkpoint."
    )


@pytest.mark.parametrize("own", ["own/checkpoints/checkpoint-4/complete.json", "own/model/config.json"])
def test_a_run_that_has_something_of_its_own_does_not_need_it(volume: Path, own: str) -> None:
    (volume / own).parent.mkdir(parents=True)
    (volume / own).touch()
    check_starting_checkpoint(config_of(volume / "checkpoint-2"))
