"""A run of two ZeRO-3 ranks that trains an adapter of a base in 4 bit: as test_lora.py, on the weights that 4 bit leave."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, BitsAndBytesConfig, GPT2Config, GPT2LMHeadModel

from grpo_contract.config import RunConfig
from grpo_contract.failure import USER_ERROR_EXIT_CODE, UserError
from grpo_trainer.inputs.quantisation import suit_run
from grpo_trainer.storage.merge_adapter import merge
from trainer.learner_inputs import OWN_REWARD, learner_config, write_own_reward, write_problems
from trainer.learner_pod import LearnerPod
from trainer.lora_learner import TOKENS
from trainer.published import IN_SYNC
from trainer.ranks import RUN_S
from trainer.run_with_generator import run_with_generator
from trainer.running_generator import RunningGenerator
from trainer.test_lora import LORA, STEPS, run, seen
from trainer.test_zero3 import Finished, numbers, without_model

QLORA: dict[str, Any] = LORA | {"load_in_4bit": True, "use_bnb_nested_quant": True, "optim": "paged_adamw_8bit"}
EMBEDDINGS = "model.embed_tokens.weight"


def quantised(model: Path, **keys: Any) -> Any:
    config = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype="float32", **keys)
    return AutoModelForCausalLM.from_pretrained(model, quantization_config=config, dtype="float32", device_map="cpu")


@pytest.fixture(scope="module")
def config(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> RunConfig:
    data = write_problems(tmp_path_factory.mktemp("data") / "train.jsonl")
    return learner_config(tiny_model, data, vllm_importance_sampling_correction=False, **QLORA)


@pytest.fixture(scope="module")
def trained(config: RunConfig, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    return run(tmp_path_factory.mktemp("qlora"), config)


@pytest.fixture(scope="module")
def with_adapter(trained: Finished, tiny_model: Path) -> Any:
    base = quantised(tiny_model, bnb_4bit_use_double_quant=True).dequantize()
    return PeftModel.from_pretrained(base, trained.model).eval()


@pytest.mark.parametrize(
    "keys",
    [
        {"use_bnb_nested_quant": True, "bnb_4bit_quant_storage": "bfloat16", "optim": "paged_adamw_8bit"},
        {"bnb_4bit_quant_type": "fp4", "lora_target_modules": ["q_proj", "down_proj"], "gradient_checkpointing": False},
    ],
    ids=["nf4", "fp4"],
)
def test_generators_held_the_merged_weights_at_every_step(
    keys: dict[str, Any], generator: RunningGenerator, tiny_model: Path, tmp_path: Path
) -> None:
    write_own_reward(tmp_path)
    recipe = LORA | {"reward_funcs": [OWN_REWARD], "load_in_4bit": True} | keys
    config = learner_config(tiny_model, write_problems(tmp_path / "train.jsonl"), **recipe)
    with run_with_generator(generator, tmp_path, config) as pod:
        assert pod.wait(RUN_S) == 0, pod.tail()
    steps = Finished(config, tmp_path).steps()
    assert [entry["step"] for entry in steps] == list(range(1, STEPS + 1))
    assert max(entry["sampling/sampling_logp_difference/max"] for entry in steps) < IN_SYNC
    assert steps[0]["kl"] == pytest.approx(0, abs=1e-7)  # the reference is the quantised base
    assert steps[-1]["kl"] > 1e-3


def test_the_base_is_the_quantised_one_bit_by_bit(trained: Finished, tiny_model: Path) -> None:
    before = dict(quantised(tiny_model, bnb_4bit_use_double_quant=True).named_parameters())
    after = seen(trained, "base")
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], before[name].data) for name in before)
    assert {name for name in after if after[name].dtype == torch.uint8} == {
        f"model.layers.{layer}.{module}.weight"
        for layer in (0, 1)
        for module in (
            *(f"self_attn.{side}_proj" for side in "qkvo"),
            *(f"mlp.{side}_proj" for side in ("gate", "up", "down")),
        )
    }


def test_each_rank_holds_half_of_the_quantised_weights(trained: Finished) -> None:
    in_4_bit = sum(weight.numel() for weight in seen(trained, "base").values())
    adapter = sum(weight.numel() for weight in load_file(trained.model / "adapter_model.safetensors").values())
    assert [held["parameters"] for held in trained.held()] == [(in_4_bit + adapter) // 2] * 2


def test_what_travels_is_the_dequantised_model_with_its_adapter_merged(trained: Finished, tiny_model: Path) -> None:
    base = quantised(tiny_model, bnb_4bit_use_double_quant=True).dequantize()
    merged = dict(PeftModel.from_pretrained(base, trained.model).merge_and_unload().named_parameters())
    sent, own = seen(trained, "sent"), load_file(tiny_model / "model.safetensors")
    assert sent.keys() == merged.keys() == own.keys()
    assert all(torch.equal(sent[name], merged[name]) for name in merged)
    assert torch.equal(sent[EMBEDDINGS], own[EMBEDDINGS])


def test_a_benchmark_gets_the_same_merged_model(trained: Finished, tmp_path: Path) -> None:
    merge(trained.model, tmp_path / "merged")
    sent, merged = seen(trained, "sent"), AutoModelForCausalLM.from_pretrained(tmp_path / "merged")
    assert all(torch.equal(sent[name], parameter) for name, parameter in merged.named_parameters())
    assert "quantization_config" not in json.loads((tmp_path / "merged" / "config.json").read_text())


def test_the_adapter_says_what_the_learner_said_on_the_base_that_it_was_trained_on(
    trained: Finished, with_adapter: Any, tiny_model: Path
) -> None:
    elsewhere = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tiny_model), trained.model).eval()
    with torch.no_grad():
        logits, of_other_base = with_adapter(torch.tensor(TOKENS)).logits, elsewhere(torch.tensor(TOKENS)).logits
    torch.testing.assert_close(logits, seen(trained, "logits"), rtol=0, atol=1e-5)
    assert (logits - of_other_base).abs().max() > 0.01


def test_the_adapter_is_saved_with_what_its_base_was(trained: Finished) -> None:
    said = json.loads((trained.model / "quantization_config.json").read_text())
    assert {key: value for key, value in said.items() if key.startswith("bnb_4bit")} == {
        "bnb_4bit_compute_dtype": "float32",
        "bnb_4bit_quant_storage": "uint8",
        "bnb_4bit_quant_type": "nf4",
        "bnb_4bit_use_double_quant": True,
    }
    weights = load_file(trained.model / "adapter_model.safetensors")
    assert all(".lora_" in name and weight.dtype == torch.float32 for name, weight in weights.items())


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


def test_a_model_whose_weights_are_turned_around_is_refused(tmp_path: Path) -> None:
    GPT2LMHeadModel(GPT2Config(vocab_size=8, n_positions=8, n_embd=64, n_layer=1, n_head=1)).save_pretrained(tmp_path)
    model = get_peft_model(quantised(tmp_path), LoraConfig(target_modules="all-linear"))
    with pytest.raises(UserError) as told:
        suit_run(model, "gpt2", "float32")
    assert str(told.value) == (
        "spec.recipe.load_in_4bit is true, but 'gpt2' is a model of GPT-2's kind, whose weights in 4 bit are not those that "
        "generators take; leave it out, or choose another model."
    )


@pytest.mark.parametrize("load_in_4bit", [True, False])
def test_a_model_that_is_quantised_already_is_refused(
    load_in_4bit: bool, config: RunConfig, tiny_model: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "volume" / "model"
    shutil.copytree(tiny_model, folder)
    quantised(tiny_model).save_pretrained(folder)
    recipe = config.recipe | {
        "model_name_or_path": "/volume/model",
        "load_in_4bit": load_in_4bit,
        "optim": "adamw_torch",
    }
    pod = LearnerPod(tmp_path, config.model_copy(update={"recipe": recipe}))
    try:
        assert pod.wait(RUN_S) == USER_ERROR_EXIT_CODE, pod.tail()
    finally:
        pod.kill()
    assert json.loads(pod.termination_file.read_text()) == {
        "reason": "InvalidRecipe",
        "message": "spec.recipe.model_name_or_path: '/volume/model' is quantised already, and generators take whole weights; "
        "name the model that it was made from, which load_in_4bit quantises.",
    }
