"""owned_keys: which values of which keys a run does not take from its recipe, and what it says."""

import json
from typing import Any

import pytest

from grpo_contract.recipe.owned_keys import OWNED_KEYS, owned_keys

REFUSED: list[tuple[dict[str, Any], str]] = [
    (
        {"use_vllm": False},
        "spec.recipe.use_vllm is false, but completions come from the run's vLLM generators; leave it out.",
    ),
    (
        {"vllm_mode": "colocate"},
        'spec.recipe.vllm_mode is "colocate", but completions come from the run\'s vLLM generators; leave it out.',
    ),
    (
        {"vllm_server_port": 8001},
        "spec.recipe.vllm_server_port is 8001, but the learners find the run's generators by themselves; leave it out.",
    ),
    (
        {"vllm_tensor_parallel_size": 2},
        (
            "spec.recipe.vllm_tensor_parallel_size is 2, but a generator uses all GPUs of its pod; leave it out and "
            "set spec.generators.gpus."
        ),
    ),
    (
        {"deepspeed": {"zero_optimization": {"stage": 2}}},
        (
            'spec.recipe.deepspeed is {"zero_optimization": {"stage": 2}}, but the learners run under DeepSpeed '
            "ZeRO-3; leave it out."
        ),
    ),
    (
        {"use_cpu": True},
        (
            "spec.recipe.use_cpu is true, but the device follows from spec.learners.gpus; leave it out and set "
            "spec.learners.gpus to 0."
        ),
    ),
    *(
        (
            {"resume_from_checkpoint": value},
            f"spec.recipe.resume_from_checkpoint is {json.dumps(value)}, but a run starts from checkpoints on its volume "
            "alone, which is mounted at /volume; set it to the folder of one, as in "
            "/volume/runs/first-1a2b3c4d/checkpoints/checkpoint-100, or leave it out: a run resumes from its own newest "
            "checkpoint by itself.",
        )
        for value in (
            "data/checkpoint-100",
            "last-checkpoint",
            "/data/checkpoint-100",
            "/volume",
            "/volume/../data",
            "",
            1,
        )
    ),
    (
        {"load_in_4bit": True},
        "spec.recipe.load_in_4bit is true, but weights of 4 bit cannot be trained themselves; set use_peft to true as well, or "
        "leave it out.",
    ),
    (
        {"load_in_8bit": True, "use_peft": True},
        "spec.recipe.load_in_8bit is true, but 8-bit layers round what goes into them as well (LLM.int8), so that no weights "
        "make a generator compute the same; leave it out, or set load_in_4bit.",
    ),
    (
        {"use_dora": True, "use_peft": True},
        "spec.recipe.use_dora is true, but generators are given plain LoRA of linear modules, merged with the model; leave "
        "it out.",
    ),
    (
        {"lora_modules_to_save": ["lm_head"], "use_peft": True},
        'spec.recipe.lora_modules_to_save is ["lm_head"], but generators are given plain LoRA of linear modules, merged with '
        "the model; leave it out.",
    ),
    (
        {"lora_target_parameters": "experts", "use_peft": True},
        'spec.recipe.lora_target_parameters is "experts", but generators are given plain LoRA of linear modules, merged with '
        "the model; leave it out and set lora_target_modules.",
    ),
    (
        {"lora_task_type": "SEQ_CLS", "use_peft": True},
        'spec.recipe.lora_task_type is "SEQ_CLS", but GRPO trains causal language models; leave it out.',
    ),
    (
        {"deepspeed": "runs/\N{ROCKET}"},
        'spec.recipe.deepspeed is "runs/\N{ROCKET}", but the learners run under DeepSpeed ZeRO-3; leave it out.',
    ),
]

ACCEPTED: list[dict[str, Any]] = [
    {},
    {"learning_rate": 1e-6, "beta": 0.01},
    {"use_vllm": True, "vllm_mode": "server", "vllm_enable_sleep_mode": False},
    {
        "eval_strategy": "steps",
        "eval_on_start": True,
        "load_best_model_at_end": True,
        "save_strategy": "best",
        "use_peft": False,
        "load_in_4bit": False,
    },
    {"use_peft": True, "lora_r": 4, "lora_task_type": "CAUSAL_LM", "use_dora": False, "lora_modules_to_save": []},
    {"load_in_4bit": True, "use_peft": True, "use_bnb_nested_quant": True, "bnb_4bit_quant_storage": "float32"},
    {"use_dora": True, "lora_task_type": "SEQ_CLS"},
    {"fsdp": "", "fsdp_config": None, "deepspeed": None, "resume_from_checkpoint": False},
    {"resume_from_checkpoint": True},
    {"resume_from_checkpoint": "/volume/runs/first-1a2b3c4d/checkpoints/checkpoint-100"},
    {"resume_from_checkpoint": "/volume/kept/"},
    {"output_dir": "data/out", "push_to_hub": True, "hub_model_id": "me/model", "hub_strategy": "every_save"},
]


@pytest.mark.parametrize(
    ("recipe", "sentence"), REFUSED, ids=lambda part: next(iter(part)) if isinstance(part, dict) else ""
)
def test_sentence(recipe: dict[str, Any], sentence: str) -> None:
    assert owned_keys(recipe) == [sentence]


@pytest.mark.parametrize("recipe", ACCEPTED, ids=lambda recipe: ",".join(recipe) or "empty")
def test_a_value_that_changes_nothing_is_accepted(recipe: dict[str, Any]) -> None:
    assert owned_keys(recipe) == []


@pytest.mark.parametrize(("key", "value"), [("use_vllm", 1), ("load_in_4bit", 0), ("fsdp", 0)])
def test_a_number_is_no_boolean(key: str, value: int) -> None:
    assert len(owned_keys({key: value})) == 1


def test_a_number_is_no_boolean_beside_an_adapter() -> None:
    assert len(owned_keys({"use_peft": True, "load_in_4bit": 1})) == 1


def test_the_order_is_the_recipes() -> None:
    sentences = owned_keys({"load_in_4bit": True, "beta": 0, "deepspeed": "b"})
    assert [sentence.split()[0] for sentence in sentences] == ["spec.recipe.load_in_4bit", "spec.recipe.deepspeed"]


def test_a_secret_is_not_repeated() -> None:
    assert owned_keys({"hub_token": "hf_abc"}) == [
        (
            "spec.recipe.hub_token is set, but everybody who may read the run could read it; leave it out and set "
            "HF_TOKEN from a Secret in spec.learners.env."
        )
    ]


@pytest.mark.parametrize("key", OWNED_KEYS)
def test_null_is_accepted_and_nonsense_is_one_sentence(key: str) -> None:
    assert owned_keys({key: None}) == []
    (sentence,) = owned_keys({OWNED_KEYS[key].only_with or key: True, key: "nonsense"})
    assert sentence.startswith(f"spec.recipe.{key} is ")
    assert sentence.endswith(".")
    assert sentence.count(".\n") == 0
