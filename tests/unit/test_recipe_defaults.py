"""Defaults of older TRLs: what a left-out key meant then, and what it means today."""

from typing import Any

import pytest

from grpo_contract.recipe.defaults import MOVED_DEFAULTS, Era, moved_defaults, with_defaults
from grpo_operator.api.recipe_keys import read_recipe_schema

KEYS = read_recipe_schema()["properties"]

OF_018: dict[str, Any] = {
    "beta": 0.04,
    "loss_type": "bnpo",
    "max_completion_length": 256,
    "max_prompt_length": 512,
    "bf16": False,
    "reward_funcs": ["accuracy", "format", "tag_count"],
    "use_bias_correction_kl": False,
    "vllm_importance_sampling_correction": False,
}
OF_016 = OF_018 | {"temperature": 0.9, "top_k": 50}
OF_014 = OF_018 | {
    "loss_type": "grpo",
    "temperature": 0.9,
    "gradient_accumulation_steps": 8,
    "per_device_train_batch_size": 8,
    "per_device_eval_batch_size": 64,
    "reward_funcs": ["accuracy", "format"],
}


@pytest.mark.parametrize(
    ("era", "filled"), [("trl-0.14", OF_014), ("trl-0.16", OF_016), ("trl-0.18", OF_018), ("current", {})]
)
def test_an_era_fills_what_is_left_out(era: Era, filled: dict[str, Any]) -> None:
    recipe, notes = with_defaults({"seed": 1}, era)
    assert recipe == {"seed": 1} | filled
    assert {note.key for note in notes} == filled.keys()


def test_what_is_set_stays() -> None:
    recipe = dict.fromkeys(OF_018, "set") | {"temperature": 0.7, "top_k": None}
    assert with_defaults(recipe, "trl-0.16") == (recipe, [])


def test_notes_say_then_and_today() -> None:
    notes = {note.key: note.action for note in with_defaults({}, "trl-0.16")[1]}
    assert notes["beta"] == "Left out: 0.04 as in TRL 0.16; today it would be 0.0."
    assert notes["bf16"] == "Left out: false as in TRL 0.16; today it would be true."
    assert notes["max_prompt_length"] == "Left out: 512 as in TRL 0.16; today it would be no limit."


def test_batches_of_014_counted_prompts() -> None:
    recipe, notes = with_defaults({"num_generations": 14}, "trl-0.14")
    assert (recipe["per_device_train_batch_size"], recipe["per_device_eval_batch_size"]) == (14, 112)
    assert [note.action for note in notes[-2:]] == [
        "Left out, as in TRL 0.14: 14, 14 for each of 1.",
        "Left out, as in TRL 0.14: 112, 14 for each of 8.",
    ]
    recipe, notes = with_defaults({"per_device_train_batch_size": 2, "per_device_eval_batch_size": 4}, "trl-0.14")
    assert (recipe["per_device_train_batch_size"], recipe["per_device_eval_batch_size"]) == (16, 32)
    assert [note.action for note in notes[-2:]] == [
        "Counted prompts in TRL 0.14, and counts completions today: 16, 8 for each of 2.",
        "Counted prompts in TRL 0.14, and counts completions today: 32, 8 for each of 4.",
    ]


def test_rewards_that_are_left_out_are_open_r1s_of_then() -> None:
    notes = {note.key: note.action for note in with_defaults({"reward_funcs": None}, "trl-0.18")[1]}
    assert notes["reward_funcs"] == "Left out: accuracy, format and tag_count, as in Open-R1 at the time of TRL 0.18."
    assert "reward_funcs" not in with_defaults({}, "current")[0]


def test_what_moved_is_told_of_what_is_left_out() -> None:
    notes = {note.key: note.action for note in moved_defaults({"beta": 0})}
    assert notes.keys() == MOVED_DEFAULTS.keys() - {"beta"}
    assert notes["temperature"] == (
        "Left out: 1.0 today; 0.9 in TRL 0.14 and 0.16. spec.recipeDefaults brings it back."
    )
    assert notes["loss_type"] == (
        "Left out: dapo today; grpo in TRL 0.14, bnpo in TRL 0.16 and 0.18. spec.recipeDefaults brings it back."
    )


def test_todays_defaults_are_trls() -> None:
    """bf16's is computed, and TRL has no max_prompt_length any more."""
    computed = {"bf16", "max_prompt_length"}
    todays = {key: values[-1] for key, values in MOVED_DEFAULTS.items() if key not in computed}
    assert {key: KEYS[key]["default"] for key in todays} == todays


DATA = {"dataset_name": "open-r1/OpenR1-Math-220k"}
READS_PROMPT = (
    "Left out: the column prompt is read, as Open-R1's script does since 28 March 2025; before, it read problem. Set it to the "
    "column that holds the prompts."
)


@pytest.mark.parametrize(
    ("era", "told"), [("trl-0.14", [READS_PROMPT]), ("trl-0.16", [READS_PROMPT]), ("trl-0.18", [])]
)
def test_a_column_of_prompts_that_is_left_out_was_another_one_then(era: Era, told: list[str]) -> None:
    recipe, notes = with_defaults(DATA, era)
    assert [note.action for note in notes if note.key == "dataset_prompt_column"] == told
    assert "dataset_prompt_column" not in recipe


def test_a_column_of_prompts_is_told_with_old_keys_too_and_not_where_it_is_set() -> None:
    assert moved_defaults(DATA)[-1].action == READS_PROMPT
    for recipe in (DATA | {"dataset_prompt_column": "problem"}, {"dataset_mixture": {"datasets": [{"id": "a"}]}}):
        for notes in (moved_defaults(recipe), with_defaults(recipe, "trl-0.14")[1]):
            assert "dataset_prompt_column" not in [note.key for note in notes]
