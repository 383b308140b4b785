"""From a recipe to TRL's configuration, and how mistakes in it are told."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.state import AcceleratorState, PartialState

from grpo_contract.failure import UserError
from grpo_contract.recipe.defaults import Era, with_defaults
from grpo_contract.recipe.old_keys import translate
from grpo_trainer.inputs.tokenizer import load_tokenizer
from grpo_trainer.recipe import Recipe, model_arguments, parse_recipe
from grpo_trainer.zero3 import zero3_config


@pytest.fixture(autouse=True)
def one_process() -> Iterator[None]:
    """What TrainingArguments remembers of processes is the test's own."""
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)
    assert PartialState._shared_state == {}


def parse(tmp_path: Path, **recipe: Any) -> Recipe:
    minimal = {"model_name_or_path": "m", "dataset_name": "d", "reward_funcs": ["accuracy"]}
    return parse_recipe(minimal | recipe, {"output_dir": str(tmp_path), "use_cpu": True, "bf16": False})


def test_values_arrive_where_trl_and_open_r1_expect_them(tmp_path: Path) -> None:
    recipe = parse(
        tmp_path,
        learning_rate="1.0e-6",  # YAML 1.1 reads 1e-6 as text
        num_generations=4,
        scale_rewards=False,
        reward_weights=[1, 0.5],
        lr_scheduler_kwargs={"num_cycles": 2},
        report_to="none",
        model_revision="abc",
        attn_implementation="sdpa",
        dataset_prompt_column="problem",
        system_prompt="Think.",
        cosine_max_len=2000,
        soft_punish_cache="128",
    )
    assert recipe.training.learning_rate == 1e-6
    assert recipe.training.num_generations == 4
    assert recipe.training.scale_rewards == "none"
    assert recipe.training.reward_weights == [1, 0.5]
    assert recipe.training.lr_scheduler_kwargs == {"num_cycles": 2}
    assert recipe.training.report_to == []
    assert recipe.script.reward_funcs == ["accuracy"]
    assert (recipe.script.dataset_prompt_column, recipe.script.system_prompt) == ("problem", "Think.")
    assert (recipe.script.cosine_max_len, recipe.script.soft_punish_cache) == (2000, 128)
    assert model_arguments(recipe, None) == {
        "revision": "abc",
        "trust_remote_code": False,
        "attn_implementation": "sdpa",
        "dtype": "float32",
    }


def test_a_mixture_arrives_as_it_is(tmp_path: Path) -> None:
    mixture = {"datasets": [{"id": "a", "weight": None}, {"id": "b", "columns": ["c"], "weight": 0.5}], "seed": 3}
    recipe = parse(tmp_path, dataset_name=None, dataset_mixture=mixture)
    assert (recipe.script.dataset_name, recipe.script.dataset_mixture) == (None, mixture)
    assert parse(tmp_path, dataset_mixture=None).script.dataset_mixture is None


def test_values_that_the_recipe_leaves_out_are_trls(tmp_path: Path) -> None:
    training = parse(tmp_path).training
    assert (training.beta, training.loss_type, training.temperature, training.num_generations) == (0.0, "dapo", 1.0, 8)
    assert parse(tmp_path).script.dataset_prompt_column == "prompt"


def test_the_operators_values_win(tmp_path: Path) -> None:
    recipe = parse_recipe(
        {"model_name_or_path": "m", "dataset_name": "d", "use_vllm": True, "bf16": True, "dtype": "bfloat16"},
        {"output_dir": str(tmp_path), "use_cpu": True, "bf16": False, "use_vllm": False},
    )
    assert (recipe.training.use_vllm, recipe.training.bf16) == (False, False)
    assert model_arguments(recipe, "float32")["dtype"] == "float32"


def test_what_a_recipe_says_of_the_hub_is_not_for_trl(tmp_path: Path) -> None:
    keys = {
        "output_dir": "data/out",
        "push_to_hub": True,
        "hub_strategy": "every_save",
        "hub_model_revision": "v1",
        "callbacks": ["push_to_hub_revision"],
        "push_to_hub_revision": True,
        "overwrite_hub_revision": True,
    }
    owned = {"output_dir": str(tmp_path), "push_to_hub": False, "use_cpu": True, "bf16": False}
    recipe = parse_recipe({"model_name_or_path": "m", "dataset_name": "d"} | translate(keys)[0], owned)
    assert (recipe.training.output_dir, recipe.training.push_to_hub) == (str(tmp_path), False)
    assert recipe.script.callbacks == ["push_to_hub_revision"]


def test_without_their_packages_sdpa_and_pytorch_compute(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    recipe = parse(tmp_path, attn_implementation="flash_attention_2", use_liger_kernel=True)
    assert (recipe.model.attn_implementation, recipe.training.use_liger_kernel) == ("sdpa", False)
    assert caplog.messages == [
        "spec.recipe.attn_implementation: 'flash_attention_2' needs flash-attn, which is not installed; it is 'sdpa'",
        "spec.recipe.use_liger_kernel: True needs liger-kernel, which is not installed; it is False",
    ]


@pytest.mark.parametrize("installed", ["flash_attn-2.8.3", "kernels-0.12.0"])
def test_with_its_package_flash_attention_computes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, installed: str
) -> None:
    name, version = installed.split("-")
    folder = tmp_path / f"{installed}.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert parse(tmp_path, attn_implementation="flash_attention_2").model.attn_implementation == "flash_attention_2"


def test_what_an_old_recipe_becomes_is_read(tmp_path: Path) -> None:
    old = {
        "torch_dtype": "bfloat16",
        "dataset_configs": ["all"],
        "max_prompt_length": 512,
        "warmup_ratio": 0.1,
        "scale_rewards": False,
        "vllm_max_model_len": 4096,
        "per_gpu_train_batch_size": 16,
        "evaluation_strategy": "no",
        "push_to_hub_model_id": "me/model",
        "wandb_log_unique_prompts": True,
        "vllm_device": "auto",
        "num_processes": 7,
        "overwrite_output_dir": True,
        "logging_dir": "logs",
    }
    recipe = parse(tmp_path, **translate(old)[0])
    assert (recipe.model.dtype, recipe.script.dataset_config) == ("bfloat16", "all")
    assert recipe.script.max_prompt_length == 512
    training = recipe.training
    # As transformers 4 rounded a warmup_ratio.
    assert [training.get_warmup_steps(steps) for steps in (1, 25, 100)] == [1, 3, 10]
    assert (training.scale_rewards, training.vllm_max_model_length) == ("none", 4096)
    assert (training.per_device_train_batch_size, training.log_unique_prompts) == (16, True)
    assert (training.eval_strategy, training.hub_model_id) == ("no", "me/model")
    all_steps = parse(tmp_path, **translate({"warmup_ratio": 1.0})[0]).training
    assert [all_steps.get_warmup_steps(steps) for steps in (1, 25, 100_000)] == [1, 25, 100_000]


@pytest.mark.parametrize("era", ["trl-0.14", "trl-0.16", "trl-0.18"])
def test_defaults_of_an_era_are_read(tmp_path: Path, era: Era) -> None:
    training = parse(tmp_path, **with_defaults({}, era)[0]).training
    assert (training.beta, training.max_completion_length) == (0.04, 256)
    assert training.vllm_importance_sampling_correction is False


def test_trl_saves_only_what_the_recipe_asks_for(tmp_path: Path) -> None:
    assert parse(tmp_path).training.save_strategy == "no"
    assert parse(tmp_path, save_strategy="epoch").training.save_strategy == "epoch"
    by_steps = parse(tmp_path, save_steps=7).training
    assert (by_steps.save_strategy, by_steps.save_steps) == ("steps", 7)


def test_the_best_model_is_saved_where_the_recipe_is_silent_on_saving(tmp_path: Path) -> None:
    best = {"load_best_model_at_end": True, "eval_strategy": "steps", "metric_for_best_model": "reward"}
    training = parse(tmp_path, **best).training
    assert (training.save_strategy, training.load_best_model_at_end) == ("best", True)
    assert (training.metric_for_best_model, training.greater_is_better) == ("reward", True)
    assert parse(tmp_path, **best, save_steps=7, eval_steps=7).training.save_strategy == "steps"


def test_a_figure_that_no_evaluation_has_is_refused_before_the_model_is_loaded(tmp_path: Path) -> None:
    stopping = {"callbacks": ["early_stopping"], "eval_strategy": "steps"}
    with pytest.raises(UserError) as caught:
        parse(tmp_path, **stopping, metric_for_best_model="eval_rewads")
    assert caught.value.failure.message == (
        "spec.recipe.metric_for_best_model is 'eval_rewads', which is no figure of an evaluation; did you mean reward?"
    )
    own = parse(tmp_path, **stopping, metric_for_best_model="longest", reward_funcs=["accuracy", "mine:length"])
    assert own.training.metric_for_best_model == "longest"


def test_a_schedule_that_follows_evaluations_is_told_what_is_better(tmp_path: Path) -> None:
    following = {
        "lr_scheduler_type": "reduce_lr_on_plateau",
        "eval_strategy": "steps",
        "metric_for_best_model": "reward",
    }
    assert parse(tmp_path, **following).training.lr_scheduler_kwargs == {"mode": "max"}
    falling = following | {"greater_is_better": False, "lr_scheduler_kwargs": {"factor": 0.5}}
    assert parse(tmp_path, **falling).training.lr_scheduler_kwargs == {"mode": "min", "factor": 0.5}
    own = following | {"lr_scheduler_kwargs": {"mode": "min"}}
    assert parse(tmp_path, **own).training.lr_scheduler_kwargs == {"mode": "min"}
    assert parse(tmp_path, lr_scheduler_kwargs={"num_cycles": 2}).training.lr_scheduler_kwargs == {"num_cycles": 2}


def test_every_step_is_logged_unless_the_recipe_says_otherwise(tmp_path: Path) -> None:
    assert parse(tmp_path).training.logging_steps == 1
    assert parse(tmp_path, logging_steps=20).training.logging_steps == 20
    for strategy in ("epoch", "no"):
        assert parse(tmp_path, logging_strategy=strategy).training.logging_strategy == strategy


def test_betas_are_floats_whatever_json_made_of_them(tmp_path: Path) -> None:
    """0.0 is 0 in JSON, and PyTorch takes two floats or nothing."""
    training = parse(tmp_path, adam_beta1=0).training
    assert [(beta, type(beta)) for beta in (training.adam_beta1, training.adam_beta2)] == [(0.0, float), (0.999, float)]
    torch.optim.AdamW([torch.zeros(1)], betas=(training.adam_beta1, training.adam_beta2))


MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "text for a number": (
        {"learning_rate": "fast"},
        "spec.recipe.learning_rate: invalid float value: 'fast'.",
    ),
    "misspelt key": (
        {"lerning_rate": 1},
        "spec.recipe.lerning_rate: no such key in TRL or Open-R1; did you mean learning_rate?",
    ),
    "key from elsewhere": (
        {"zzz": 1},
        "spec.recipe.zzz: no such key in TRL or Open-R1; remove it.",
    ),
    "choice": (
        {"dtype": "int8"},
        "spec.recipe.dtype: 'int8' is not one of auto, bfloat16, float16, float32.",
    ),
    "batch": (
        {"num_generations": 7},
        "spec.recipe: generation_batch_size (8) must be divisible by num_generations (7).",
    ),
    "two sentences of TRL's": (
        {"auto_find_batch_size": True},
        "spec.recipe: auto_find_batch_size is not supported by GRPO, because the generation batch must contain full "
        "prompt groups of num_generations completions, and reducing the batch size on out-of-memory breaks this "
        "invariant; Set auto_find_batch_size=False and lower per_device_train_batch_size instead.",
    ),
    "reward's parameter too small": (
        {"cosine_max_len": 0},
        "spec.recipe.cosine_max_len: 0 is too small; set it to 1 or more.",
    ),
    "reward's parameter too large": (
        {"repetition_max_penalty": "0.5"},
        "spec.recipe.repetition_max_penalty: 0.5 is too large; set it to 0 or less.",
    ),
    "reward's choice": (
        {"target_language": "fr"},
        "spec.recipe.target_language: 'fr' is not one of ar, el, en, he, hi, ja, ko, ru, th, zh.",
    ),
    "tracker": (
        {"report_to": ["clearml"]},
        "spec.recipe.report_to: 'clearml' is not installed in the learners' image; "
        "remove it (metrics are in Prometheus anyway) or use an image that holds it.",
    ),
    "evaluations that are not compared": (
        {"save_strategy": "best"},
        "spec.recipe.save_strategy is best, which compares evaluations, but spec.recipe.eval_strategy is 'no'; set that to "
        "steps or epoch.",
    ),
    "PEFT": (
        {"use_peft": True, "use_dora": True},
        "spec.recipe.use_dora is true, but generators are given plain LoRA of linear modules, merged with the model; leave "
        "it out.",
    ),
    "number for a boolean": (
        {"load_in_4bit": 0},
        "spec.recipe.load_in_4bit is 0, but weights of 4 bit cannot be trained themselves; set use_peft to true as well, or "
        "leave it out.",
    ),
    "two keys of the operator's": (
        {"save_only_model": True, "resume_from_checkpoint": "data/checkpoint-100"},
        "spec.recipe.save_only_model is true, but a run could not resume from such a checkpoint; leave it out. "
        'spec.recipe.resume_from_checkpoint is "data/checkpoint-100", but a run starts from checkpoints on its volume '
        "alone, which is mounted at /volume; set it to the folder of one, as in "
        "/volume/runs/first-1a2b3c4d/checkpoints/checkpoint-100, or leave it out: a run resumes from its own newest "
        "checkpoint by itself.",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_sentence(tmp_path: Path, mistake: str) -> None:
    keys, sentence = MISTAKES[mistake]
    with pytest.raises(UserError) as caught:
        parse(tmp_path, **keys)
    assert caught.value.failure.reason == "InvalidRecipe"
    assert str(caught.value) == sentence


def test_both_devices_split_every_parameter() -> None:
    cpu, cuda = zero3_config("cpu"), zero3_config("cuda")
    assert cpu["zero_optimization"]["stage"] == cuda["zero_optimization"]["stage"] == 3
    differing = {key for key, value in cpu["zero_optimization"].items() if cuda["zero_optimization"][key] != value}
    assert differing == {"overlap_comm", "stage3_param_persistence_threshold"}


def test_the_tokenizer_takes_the_recipes_template(tmp_path: Path, tiny_model: Path) -> None:
    template = "{{ messages[0]['content'] }}!"
    tokenizer = load_tokenizer(parse(tmp_path, model_name_or_path=str(tiny_model), chat_template=template))
    assert tokenizer.apply_chat_template([{"role": "user", "content": "2"}], tokenize=False) == "2!"
    assert tokenizer.padding_side == "left"


REFUSES_SYSTEM = (
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported.') }}{% endif %}"
    "{{ messages[0]['content'] }}"
)
WANTS_SYSTEM = (
    "{% if messages[0]['role'] != 'system' %}{{ raise_exception('No system message.') }}{% endif %}"
    "{{ messages[1]['content'] }}"
)
TEMPLATES: dict[str, tuple[dict[str, Any], str]] = {
    "syntax": (
        {"chat_template": "{% for message in messages %}{{ message }}"},
        "spec.recipe.chat_template: it cannot render a conversation, Unexpected end of template. Jinja was looking for "
        "the following tags: 'endfor' or 'else'. The innermost block that needs to be closed is 'for'; correct it, or "
        "leave it out to use the tokenizer's.",
    ),
    "name": (
        {"chat_template": "{{ mesages[0]['content'] }}"},
        "spec.recipe.chat_template: it cannot render a conversation, 'mesages' is undefined; correct it, or leave it "
        "out to use the tokenizer's.",
    ),
    "types": (
        {"chat_template": "{{ messages[0]['content'] + 1 }}"},
        'spec.recipe.chat_template: it cannot render a conversation, can only concatenate str (not "int") to str; '
        "correct it, or leave it out to use the tokenizer's.",
    ),
    "system prompt": (
        {"chat_template": REFUSES_SYSTEM, "system_prompt": "Think."},
        "spec.recipe.system_prompt: the chat template refuses a system message, System role not supported; set "
        "spec.recipe.chat_template to one that takes it, or remove system_prompt.",
    ),
}


@pytest.mark.parametrize("mistake", TEMPLATES)
def test_a_chat_template_that_does_not_work(tmp_path: Path, tiny_model: Path, mistake: str) -> None:
    keys, sentence = TEMPLATES[mistake]
    with pytest.raises(UserError) as caught:
        load_tokenizer(parse(tmp_path, model_name_or_path=str(tiny_model), **keys))
    assert caught.value.failure.reason == "InvalidRecipe"
    assert str(caught.value) == sentence


@pytest.mark.parametrize("keys", [{"chat_template": REFUSES_SYSTEM}, {"chat_template": WANTS_SYSTEM}])
def test_a_chat_template_that_may_suit_the_data(tmp_path: Path, tiny_model: Path, keys: dict[str, Any]) -> None:
    load_tokenizer(parse(tmp_path, model_name_or_path=str(tiny_model), **keys))


def test_a_tokenizers_own_template_that_does_not_work(tmp_path: Path, tiny_model: Path) -> None:
    model = shutil.copytree(tiny_model, tmp_path / "model")
    (model / "chat_template.jinja").write_text("{{ 1 +* 2 }}")
    with pytest.raises(
        UserError, match=rf"^spec.recipe.model_name_or_path: the chat template of the tokenizer of '{model}'"
    ):
        load_tokenizer(parse(tmp_path, model_name_or_path=str(model)))


def test_a_broken_tokenizer(tmp_path: Path, tiny_model: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    for name in ("config.json", "model.safetensors", "tokenizer_config.json"):
        os.symlink(tiny_model / name, folder / name)
    (folder / "tokenizer.json").write_text("this is no JSON")
    with pytest.raises(UserError, match=rf"spec.recipe.model_name_or_path: '{folder}' cannot be loaded, ") as caught:
        load_tokenizer(parse(tmp_path, model_name_or_path=str(folder)))
    assert caught.value.failure.reason == "ModelNotFound"


def test_a_system_prompt_needs_a_template(tmp_path: Path, tiny_model: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    for file in tiny_model.iterdir():
        if file.name != "chat_template.jinja":
            os.symlink(file, folder / file.name)
    recipe = parse(tmp_path, model_name_or_path=str(folder), system_prompt="Think.")
    with pytest.raises(UserError) as caught:
        load_tokenizer(recipe)
    assert str(caught.value) == (
        f"spec.recipe.system_prompt: the tokenizer of '{folder}' has no chat template to put it in; "
        "set spec.recipe.chat_template or remove system_prompt."
    )
