"""The recipe's schema as it is committed, by samples, and the seams between its generated and hand-written parts."""

import ast

import pytest

from codegen.recipe_additions import SAID_FIRST
from codegen.recipe_schema import check_additions, property_of
from codegen.recipe_source import SourceField
from codegen.recipe_types import UnsayableError
from grpo_contract.recipe.old_keys import OLD_KEYS
from grpo_contract.recipe.owned_keys import OWNED_KEYS
from grpo_operator.api.recipe_keys import read_recipe_schema

KEYS = read_recipe_schema()["properties"]


def test_a_key_of_trl() -> None:
    assert KEYS["beta"] == {
        "type": "number",
        "minimum": 0,
        "description": "KL coefficient. If `0.0` (default), the reference model is not loaded, reducing memory usage "
        "and improving training speed. [DeepSeek-R1 incentivizes reasoning in LLMs through reinforcement learning]"
        "(https://huggingface.co/papers/2501.12948) use a value of `0.001`.",
        "default": 0.0,
    }


def test_a_key_of_transformers_that_trl_overrides() -> None:
    assert KEYS["learning_rate"]["default"] == 1e-06
    assert KEYS["logging_steps"]["default"] == 10
    assert KEYS["gradient_checkpointing"]["default"] is True


def test_keys_of_open_r1() -> None:
    assert KEYS["dataset_prompt_column"] == {
        "type": "string",
        "minLength": 1,
        "description": "Column of the data set that holds the prompts.",
        "default": "prompt",
    }
    assert KEYS["repetition_max_penalty"] == {
        "type": "number",
        "maximum": 0,
        "description": "Reward `repetition_penalty`: the score that a completion of repeated phrases approaches.",
        "default": -1.0,
    }
    assert KEYS["reward_funcs"]["maxItems"] == 64
    assert KEYS["code_language"]["enum"] == ["python", "javascript", "r", "java", "bash", "cpp"]


def test_a_mixture_of_data_sets_is_typed_to_its_leaves() -> None:
    mixture = KEYS["dataset_mixture"]
    assert (mixture["type"], mixture["nullable"], mixture["required"]) == ("object", True, ["datasets"])
    assert list(mixture["properties"]) == ["datasets", "seed", "test_split_size"]
    assert (mixture["properties"]["datasets"]["minItems"], mixture["properties"]["datasets"]["maxItems"]) == (1, 32)
    entry = mixture["properties"]["datasets"]["items"]
    assert (list(entry["properties"]), entry["required"]) == (["id", "config", "split", "columns", "weight"], ["id"])
    assert entry["properties"]["weight"] == {
        "type": "number",
        "minimum": 0,
        "exclusiveMinimum": True,
        "maximum": 1,
        "nullable": True,
        "description": "Share of the rows that is taken, drawn with seed; 1 when left out. null takes all rows in their "
        "own order.",
    }
    assert "default" not in {*entry["properties"]["split"], *mixture["properties"]["seed"]}


OPEN_R1_DEFAULTS = {
    "code_language": "python",
    "cosine_max_len": 1000,
    "cosine_max_value_correct": 1.0,
    "cosine_max_value_wrong": -0.5,
    "cosine_min_value_correct": 0.5,
    "cosine_min_value_wrong": 0.0,
    "max_completion_len": 16384,
    "repetition_max_penalty": -1.0,
    "repetition_n_grams": 3,
    "soft_punish_cache": 4096,
}


def test_parameters_of_rewards_have_open_r1s_defaults() -> None:
    assert {key: KEYS[key]["default"] for key in OPEN_R1_DEFAULTS} == OPEN_R1_DEFAULTS


def test_old_keys_take_what_they_are_today() -> None:
    assert KEYS["per_gpu_train_batch_size"] == {
        "type": "integer",
        "minimum": 1,
        "description": "Old key: Is per_device_train_batch_size today.",
    }
    assert KEYS["torch_dtype"]["enum"] == KEYS["dtype"]["enum"]
    assert KEYS["vllm_device"] == {
        "x-kubernetes-preserve-unknown-fields": True,
        "description": "Old key: No effect: generators have GPUs of their own.",
    }
    assert [key for key in OLD_KEYS if "default" in KEYS[key]] == []


def test_every_key_has_a_text_and_they_are_in_order() -> None:
    assert list(KEYS) == sorted(KEYS)
    assert [key for key, entry in KEYS.items() if not entry["description"]] == []


@pytest.mark.parametrize(
    ("key", "beginning"),
    [
        ("use_peft", "Whether to use PEFT for training."),
        ("lora_r", "Without effect while use_peft is false: LoRA R value."),
        ("bnb_4bit_quant_type", "Without effect while load_in_4bit is false: "),
        ("load_in_4bit", "Needs use_peft: "),
        ("load_in_8bit", "Not supported: "),
    ],
)
def test_keys_of_what_runs_cannot_do_yet_say_so_first(key: str, beginning: str) -> None:
    assert KEYS[key]["description"].startswith(beginning)


def test_every_key_of_peft_and_quantisation_says_so() -> None:
    of_both = {key for key in KEYS if key.startswith(("lora_", "load_in_", "bnb_")) or key.endswith(("lora", "dora"))}
    assert of_both | {"use_bnb_nested_quant"} == SAID_FIRST.keys()
    assert OWNED_KEYS.keys() & SAID_FIRST.keys() == {
        "load_in_4bit",
        "load_in_8bit",
        "lora_modules_to_save",
        "lora_target_parameters",
        "lora_task_type",
        "use_dora",
    }


def a_field(name: str, annotation: str = "str", help: str = "Help.") -> SourceField:
    return SourceField(name, ast.parse(annotation, mode="eval").body, help, None, None)


def test_a_union_that_nobody_decided_about_is_named() -> None:
    with pytest.raises(UnsayableError, match=r"^new_key: int \| list\[int\]: add it to TYPES in recipe_additions.py$"):
        property_of(a_field("new_key", "int | list[int]"), {})


def test_a_table_that_outlives_its_key_is_named() -> None:
    with pytest.raises(AssertionError, match=r"is in recipe_additions\.py, but no dataclass has it any more"):
        check_additions({})


def test_a_value_that_the_help_no_longer_names_is_named() -> None:
    fields = {key: a_field(key, help="token sequence") for key in KEYS if key not in OLD_KEYS}
    fields["parallelism_config"] = a_field("parallelism_config")
    with pytest.raises(AssertionError, match=r"^loss_type: the help text does not name \['grpo', "):
        check_additions(fields)
