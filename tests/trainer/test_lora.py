"""A run of two ZeRO-3 ranks that trains an adapter: what travels, what is saved, and what stays as it was."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.state import AcceleratorState
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from grpo_contract.config import RunConfig
from grpo_contract.failure import USER_ERROR_EXIT_CODE
from grpo_trainer import training
from grpo_trainer.inputs.lora import adapter_of
from grpo_trainer.instruments.metrics import LearnerMetrics
from grpo_trainer.instruments.progress import ProgressBoard
from grpo_trainer.light_trl import ModelConfig
from grpo_trainer.storage import final_model
from grpo_trainer.storage.merge_adapter import merge
from trainer.learner_inputs import OWN_REWARD, learner_config, write_own_reward, write_problems
from trainer.learner_pod import LearnerPod
from trainer.lora_learner import TOKENS
from trainer.published import IN_SYNC
from trainer.ranks import RUN_S
from trainer.run_with_generator import run_with_generator
from trainer.running_generator import RunningGenerator
from trainer.test_zero3 import Finished, numbers, without_model
from trainer.test_zero3 import run as run_ranks

PROGRAM = Path(__file__).with_name("lora_learner.py")
STEPS = 6
LORA: dict[str, Any] = {
    "use_peft": True,
    "lora_r": 4,
    "lora_alpha": 8,
    "lora_dropout": 0.0,
    "lora_target_modules": "all-linear",
    "max_steps": STEPS,
    "learning_rate": 1e-2,
    "gradient_checkpointing": True,
}


def run(folder: Path, config: RunConfig) -> Finished:
    return run_ranks(folder, config, "zero3", PROGRAM)


def seen(run: Finished, what: str) -> Any:
    return torch.load(run.folder / "seen.pt")[what]


@pytest.fixture(scope="module")
def config(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> RunConfig:
    data = write_problems(tmp_path_factory.mktemp("data") / "train.jsonl")
    return learner_config(tiny_model, data, vllm_importance_sampling_correction=False, **LORA)


@pytest.fixture(scope="module")
def trained(config: RunConfig, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    return run(tmp_path_factory.mktemp("lora"), config)


@pytest.fixture(scope="module")
def with_adapter(trained: Finished, tiny_model: Path) -> Any:
    return PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tiny_model), trained.model).eval()


def test_generators_held_the_merged_weights_at_every_step(
    generator: RunningGenerator, tiny_model: Path, tmp_path: Path
) -> None:
    write_own_reward(tmp_path)
    config = learner_config(tiny_model, write_problems(tmp_path / "train.jsonl"), reward_funcs=[OWN_REWARD], **LORA)
    with run_with_generator(generator, tmp_path, config) as pod:
        assert pod.wait(RUN_S) == 0, pod.tail()
    steps = Finished(config, tmp_path).steps()
    assert [entry["step"] for entry in steps] == list(range(1, STEPS + 1))
    assert max(entry["sampling/sampling_logp_difference/max"] for entry in steps) < IN_SYNC
    assert steps[0]["kl"] == pytest.approx(0, abs=1e-7)  # an adapter begins as nothing: the reference is the base
    assert steps[-1]["kl"] > 1e-3


def test_the_base_is_the_same_bit_by_bit(trained: Finished, tiny_model: Path) -> None:
    before, after = load_file(tiny_model / "model.safetensors"), seen(trained, "base")
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert trained.steps()[-1]["kl"] > 1e-3


def test_what_travels_is_the_model_with_its_adapter_merged(trained: Finished, tiny_model: Path) -> None:
    base = AutoModelForCausalLM.from_pretrained(tiny_model)
    merged = PeftModel.from_pretrained(base, trained.model).merge_and_unload()
    sent = seen(trained, "sent")
    assert sent.keys() == dict(merged.named_parameters()).keys()
    assert all(torch.equal(sent[name], parameter) for name, parameter in merged.named_parameters())


def test_a_benchmark_gets_the_same_merged_model(trained: Finished, tmp_path: Path) -> None:
    merge(trained.model, tmp_path / "merged")
    sent, merged = seen(trained, "sent"), AutoModelForCausalLM.from_pretrained(tmp_path / "merged")
    assert all(torch.equal(sent[name], parameter) for name, parameter in merged.named_parameters())
    assert AutoTokenizer.from_pretrained(tmp_path / "merged").chat_template
    assert [path.name for path in tmp_path.iterdir()] == ["merged"]


def test_the_adapter_loads_and_says_what_the_learner_said(trained: Finished, with_adapter: Any) -> None:
    with torch.no_grad():
        logits = with_adapter(torch.tensor(TOKENS)).logits
        with with_adapter.disable_adapter():
            of_base = with_adapter(torch.tensor(TOKENS)).logits
    torch.testing.assert_close(logits, seen(trained, "logits"), rtol=0, atol=1e-6)
    assert (logits - of_base).abs().max() > 0.01


def test_the_adapter_is_saved_without_the_model(trained: Finished, tiny_model: Path) -> None:
    assert sorted(path.name for path in trained.model.iterdir()) == [
        "README.md",
        "adapter_config.json",
        "adapter_model.safetensors",
        "chat_template.jinja",
        "tokenizer.json",
        "tokenizer_config.json",
        "train_results.json",
        "trainer_state.json",
        "training_args.bin",
    ]
    said = json.loads((trained.model / "adapter_config.json").read_text())
    assert (said["base_model_name_or_path"], said["r"], said["lora_alpha"]) == (str(tiny_model), 4, 8)
    assert "library_name: peft" in (trained.model / "README.md").read_text()


def test_a_resumed_run_continues_digit_for_digit(
    trained: Finished, config: RunConfig, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("resumed")
    shutil.rmtree(without_model(trained, folder, 4).run_folder / "checkpoints" / "checkpoint-6")
    resumed = run(folder, config)

    assert "resuming from the checkpoint of step 2" in (folder / "learner.log").read_text()
    assert numbers(resumed) == numbers(trained)
    saved = "adapter_model.safetensors"
    assert (resumed.model / saved).read_bytes() == (trained.model / saved).read_bytes()


def test_an_attempt_after_the_last_step_only_saves_the_adapter(
    trained: Finished, config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_folder = tmp_path / "run"
    shutil.copytree(trained.run_folder, run_folder)
    shutil.rmtree(run_folder / "model")
    monkeypatch.setattr(training, "checkpoint_folder", lambda name, uid: run_folder / "checkpoints")
    monkeypatch.setattr(final_model, "model_folder", lambda name, uid: run_folder / "model")
    assert training.train(config, LearnerMetrics(None), ProgressBoard(2)) == run_folder / "model"
    AcceleratorState._reset_state(reset_partial_state=True)
    names = {path.name for path in trained.model.iterdir()} - {"train_results.json"}
    assert {path.name for path in (run_folder / "model").iterdir()} == names
    saved = "adapter_model.safetensors"
    assert (run_folder / "model" / saved).read_bytes() == (trained.model / saved).read_bytes()


@pytest.mark.parametrize("modules", [["no_such_proj"], ["q_proj", "embed_tokens"]])
def test_targets_that_do_not_suit_the_model_are_named(modules: list[str], config: RunConfig, tmp_path: Path) -> None:
    config = config.model_copy(update={"recipe": config.recipe | {"lora_target_modules": modules}})
    pod = LearnerPod(tmp_path, config)
    try:
        assert pod.wait(RUN_S) == USER_ERROR_EXIT_CODE, pod.tail()
    finally:
        pod.kill()
    said = json.loads(pod.termination_file.read_text())
    assert said["reason"] == "InvalidRecipe"
    reasons = {
        "no_such_proj": "peft refuses it (Target modules no_such_proj not found in the base model. Please check the "
        "target modules and try again)",
        "q_proj": "embed_tokens is no linear module and cannot be merged for generators",
    }
    assert said["message"] == (
        f"spec.recipe.lora_target_modules is {json.dumps(modules)}, but {reasons[modules[0]]}; "
        r"name linear modules of the model, as in [q_proj, v_proj], or one alone by a pattern, as in .*\.q_proj, or all-linear."
    )


def test_an_adapter_names_the_revision_of_its_base() -> None:
    adapter = adapter_of(ModelConfig("m", model_revision="v1", use_peft=True))
    assert adapter.revision == "v1"
    assert adapter_of(ModelConfig("m", model_revision="v1")) is None
