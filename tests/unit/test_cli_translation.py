"""Owned keys, old keys and moved defaults: the words of acceptance and of status.recipe.notes."""

from typing import Any

import pytest

from grpo_cli.finding import Level
from grpo_contract.recipe.old_keys import OLD_KEYS
from grpo_contract.recipe.owned_keys import OWNED_KEYS
from grpo_operator.desired.recipe import todays_recipe
from grpo_operator.reconcile.acceptance import judge_recipe
from unit.cli_inputs import RECIPE, report_of, run_of, said
from unit.desired_inputs import make_run

STOPPING = {"callbacks": ["early_stopping"], "eval_strategy": "steps", "eval_steps": 10}
OWNED: list[dict[str, Any]] = [
    {"use_vllm": False, "vllm_mode": "colocate", "vllm_server_port": 8001},
    {"deepspeed": {"zero_optimization": {"stage": 2}}, "fsdp": "full_shard"},
    {"no_cuda": True, "push_to_hub_token": "hf_secret"},
    {"use_vllm": True, "vllm_mode": "server", "eval_strategy": "no"},
    {"use_peft": True, "lora_target_modules": "q_proj"},
    {"use_peft": True, "use_dora": True, "lora_target_modules": ["q_proj", "lm_head"]},
    {
        "lr_scheduler_type": "cosine",
        "lr_scheduler_kwargs": {"min_lr": 1e-7},
        "use_peft": True,
        "lora_target_modules": [],
    },
    STOPPING | {"metric_for_best_model": "rewards/acuracy/mean"},
    STOPPING | {"metric_for_best_model": "eval_runtime"},
    STOPPING | {"metric_for_best_model": "kl", "beta": 0.04},
    STOPPING | {"metric_for_best_model": "kl", "use_peft": True, "lora_target_modules": "q_proj"},
]


@pytest.mark.parametrize("recipe", OWNED, ids=",".join)
def test_acceptance_and_check_refuse_the_same_keys_in_the_same_words(recipe: dict[str, Any]) -> None:
    statement = judge_recipe(make_run(recipe=RECIPE | recipe))
    sentences = [sentence for _, sentence in said(report_of(run_of(recipe)), Level.ERROR)]
    assert " ".join(sentences) == ("" if statement is None else statement.message)


def test_the_field_is_the_owned_key() -> None:
    (found,) = said(report_of(run_of({"no_cuda": True})), Level.ERROR)
    assert found[0] == "spec.recipe.use_cpu"
    assert "use_cpu" in OWNED_KEYS


def test_a_schedule_without_its_arguments_is_refused_with_its_field() -> None:
    found = said(report_of(run_of({"lr_scheduler_type": "cosine_with_min_lr"})), Level.ERROR)
    assert [field for field, _ in found] == ["spec.recipe.lr_scheduler_kwargs"]


@pytest.mark.parametrize(
    ("recipe", "neighbour", "sentence"),
    [
        (
            {"metric_for_best_model": "rewards/acuracy/mean"},
            {"metric_for_best_model": "rewards/accuracy/mean"},
            "metric_for_best_model is 'rewards/acuracy/mean', which is no figure of an evaluation; did you mean "
            "rewards/accuracy/mean?",
        ),
        (
            {"metric_for_best_model": "eval_runtime"},
            {"metric_for_best_model": "kl", "beta": 0.04},
            "metric_for_best_model is 'eval_runtime', which says nothing of a model; set it to another, as in reward.",
        ),
        (
            {"metric_for_best_model": "runtime", "reward_funcs": ["mine:score"]},
            {"metric_for_best_model": "longest", "reward_funcs": ["mine:score"]},
            "metric_for_best_model is 'runtime', which says nothing of a model; set it to another, as in reward.",
        ),
    ],
)
def test_what_no_evaluation_can_be_compared_by(
    recipe: dict[str, Any], neighbour: dict[str, Any], sentence: str
) -> None:
    statement = judge_recipe(make_run(recipe=RECIPE | STOPPING | recipe))
    assert statement is not None
    assert (statement.reason, statement.message) == ("InvalidRecipe", f"spec.recipe.{sentence}")
    found = said(report_of(run_of(STOPPING | recipe)))
    assert found == [("spec.recipe.metric_for_best_model", f"spec.recipe.{sentence}")]
    assert said(report_of(run_of(STOPPING | neighbour))) == []
    assert judge_recipe(make_run(recipe=RECIPE | STOPPING | neighbour)) is None


def test_an_older_trls_defaults_count() -> None:
    """Whose beta measured the KL divergence."""
    recipe = STOPPING | {"metric_for_best_model": "kl", "num_generations": 8}
    assert judge_recipe(make_run(recipe=RECIPE | recipe)) is not None
    assert judge_recipe(make_run(recipe=RECIPE | recipe, recipeDefaults="trl-0.16")) is None


@pytest.mark.parametrize(
    ("recipe", "fields"),
    [
        ({"lr_scheduler_type": "cosine_with_min_lr", "lr_scheduler_kwargs": '{"min_lr_rate": 0.1}'}, ["lr_scheduler_kwargs"]),
        ({"lr_scheduler_type": 5, "lr_scheduler_kwargs": {"min_lr_rate": 0.1}}, ["lr_scheduler_type"]),
        (STOPPING | {"metric_for_best_model": "kl", "beta": "0.04"}, ["beta"]),
        (STOPPING | {"metric_for_best_model": "rewards/acuracy/mean", "reward_funcs": "acuracy"}, ["reward_funcs"]),
        (
            {"lr_scheduler_type": "cosine", "lr_scheduler_kwargs": {"min_lr": 1e-7}, "beta": "0.04"},
            ["beta", "lr_scheduler_kwargs"],
        ),
    ],
)  # fmt: skip
def test_nothing_is_said_of_a_value_that_goes_with_one_that_the_schema_refuses(
    recipe: dict[str, Any], fields: list[str]
) -> None:
    found = said(report_of(run_of(recipe)), Level.ERROR)
    assert [field for field, _ in found] == [f"spec.recipe.{field}" for field in fields]


@pytest.mark.parametrize("era", ["current", "trl-0.14"])
def test_notes_are_those_of_the_status(era: str) -> None:
    recipe = {"torch_dtype": "bfloat16", "vllm_device": "auto", "warmup_ratio": 0.1, "scale_rewards": True}
    _, notes = todays_recipe(make_run(recipe=RECIPE | recipe, recipeDefaults=era).spec)
    told = said(report_of(run_of(recipe, recipeDefaults=era)), Level.NOTE)
    assert told == [(f"spec.recipe.{note.key}", f"spec.recipe.{note.key}: {note.action}") for note in notes]
    assert ("spec.recipe.torch_dtype", f"spec.recipe.torch_dtype: {OLD_KEYS['torch_dtype'].action}") in told


def test_keys_of_an_adapter_are_without_effect_where_there_is_none() -> None:
    assert said(report_of(run_of({"lora_r": 16}))) == [
        ("spec.recipe.lora_r", "spec.recipe.lora_r: Without effect while use_peft is false.")
    ]
    assert said(report_of(run_of({"lora_r": 16, "use_peft": True}))) == []


def test_keys_of_a_base_in_4_bit_are_without_effect_where_there_is_none() -> None:
    nested = {"use_bnb_nested_quant": True, "use_peft": True}
    assert said(report_of(run_of(nested))) == [
        (
            "spec.recipe.use_bnb_nested_quant",
            "spec.recipe.use_bnb_nested_quant: Without effect while load_in_4bit is false.",
        )
    ]
    assert said(report_of(run_of(nested | {"load_in_4bit": True}))) == []
    assert said(report_of(run_of(nested | {"load_in_4bit": True, "bnb_4bit_quant_storage": "bfloat16"}))) == [
        (
            "spec.recipe.bnb_4bit_quant_storage",
            "spec.recipe.bnb_4bit_quant_storage: No effect: learners hold 4-bit weights as bytes, which ZeRO-3 splits as well.",
        )
    ]


def test_what_an_adapter_cannot_be_is_refused_with_its_field() -> None:
    found = said(report_of(run_of({"use_dora": True, "use_peft": True})), Level.ERROR)
    assert [field for field, _ in found] == ["spec.recipe.use_dora"]


def test_what_the_schema_refuses_is_not_translated() -> None:
    found = said(report_of(run_of({"warmup_ratio": "a tenth", "torch_dtype": "float32"})), Level.ERROR, Level.NOTE)
    assert found[0] == (
        "spec.recipe.warmup_ratio",
        'spec.recipe.warmup_ratio is "a tenth", but it takes a number; correct it.',
    )
    assert ("spec.recipe.torch_dtype", "spec.recipe.torch_dtype: Is dtype today.") in found


def test_values_of_today_make_no_recipe_old() -> None:
    """Who writes today is not told of defaults that have moved since."""
    recipe = {"attn_implementation": "flash_attention_2", "use_liger_kernel": True, "scale_rewards": True}
    _, notes = todays_recipe(make_run(recipe=RECIPE | recipe).spec)
    assert sorted(note.key for note in notes) == sorted(recipe)
    _, of_old = todays_recipe(make_run(recipe=RECIPE | {"torch_dtype": "bfloat16"}).spec)
    assert len(of_old) > 1


@pytest.mark.parametrize(
    ("recipe", "era"),
    [
        ({"temperature": 0}, "current"),
        ({"loss_type": "ppo"}, "trl-0.16"),
        ({"max_completion_length": "512"}, "current"),
        ({"bf16": "yes"}, "trl-0.18"),
        ({"reward_funcs": "accuracy"}, "trl-0.14"),
        ({"per_device_train_batch_size": "8"}, "trl-0.14"),
    ],
)
def test_a_key_that_is_refused_is_not_left_out(recipe: dict[str, Any], era: str) -> None:
    report = report_of(run_of(recipe | {"torch_dtype": "float32"}, recipeDefaults=era))
    (key,) = recipe
    assert f"spec.recipe.{key}" in [field for field, _ in said(report, Level.ERROR)]
    told = [field for field, _ in said(report, Level.NOTE)]
    assert f"spec.recipe.{key}" not in told
    assert "spec.recipe.beta" in told


def test_an_old_key_that_is_refused_is_not_left_out_under_its_new_name() -> None:
    report = report_of(run_of({"per_gpu_train_batch_size": "8"}, recipeDefaults="trl-0.14"))
    assert "spec.recipe.per_device_train_batch_size" not in [field for field, _ in said(report, Level.NOTE)]
