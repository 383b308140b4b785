"""translate: what recipes of 2025 become, values included."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from grpo_contract.recipe.old_keys import OLD_KEYS, OLD_VALUES, translate
from grpo_contract.recipe.owned_keys import owned_keys
from grpo_operator.api.recipe_keys import read_recipe_schema

KEYS_BY_SOURCE: dict[str, list[str]] = yaml.safe_load(Path(__file__).with_name("recipe_keys.yaml").read_text())
TODAYS_KEYS = read_recipe_schema()["properties"].keys() - OLD_KEYS.keys()

Recipe = dict[str, Any]

# Old recipe, what it becomes, (key, action) of its notes.
TRANSLATED: list[tuple[Recipe, Recipe, list[tuple[str, str]]]] = [
    ({"beta": 0.04, "num_generations": 16}, {"beta": 0.04, "num_generations": 16}, []),
    ({"torch_dtype": "bfloat16"}, {"dtype": "bfloat16"}, [("torch_dtype", "Is dtype today.")]),
    ({"torch_dtype": None}, {}, []),
    (
        {"torch_dtype": "float32", "dtype": "bfloat16"},
        {"dtype": "bfloat16"},
        [("torch_dtype", "Ignored: the recipe sets dtype, which it is today.")],
    ),
    (
        {"torch_dtype": "float32", "dtype": None},
        {"dtype": "float32"},
        [("torch_dtype", "Is dtype today.")],
    ),
    (
        {"warmup_ratio": 0.1, "warmup_steps": 0},
        {"warmup_steps": 0.1},
        [("warmup_ratio", "Is warmup_steps today, where a value below 1 is a share.")],
    ),
    (
        {"dtype": None, "torch_dtype": "float32"},
        {"dtype": "float32"},
        [("torch_dtype", "Is dtype today.")],
    ),
    (
        {"dataset_configs": ["all"]},
        {"dataset_config": "all"},
        [("dataset_configs", "Is dataset_config today; the list's one entry is taken.")],
    ),
    (
        {"dataset_configs": []},
        {},
        [("dataset_configs", "Is dataset_config today; the list's one entry is taken.")],
    ),
    (
        {"max_prompt_length": 512},
        {"max_prompt_length": 512},
        [
            (
                "max_prompt_length",
                "TRL dropped it, a run keeps its effect: of a longer prompt the last tokens are taken.",
            )
        ],
    ),
    ({"max_prompt_length": None}, {"max_prompt_length": None}, []),
    ({"vllm_device": "auto"}, {}, [("vllm_device", "No effect: generators have GPUs of their own.")]),
    (
        {"vllm_dtype": "float16"},
        {},
        [("vllm_dtype", "No effect: generators compute in what bf16 and fp16 say, as the learners do.")],
    ),
    (
        {"vllm_max_model_len": 4096},
        {"vllm_max_model_length": 4096},
        [("vllm_max_model_len", "Is vllm_max_model_length today.")],
    ),
    (
        {"vllm_guided_decoding_regex": "[0-9]+"},
        {"vllm_structured_outputs_regex": "[0-9]+"},
        [("vllm_guided_decoding_regex", "Is vllm_structured_outputs_regex today.")],
    ),
    ({"vllm_gpu_memory_utilization": 0.7}, {"vllm_gpu_memory_utilization": 0.7}, []),
    (
        {"num_processes": 7},
        {},
        [
            (
                "num_processes",
                "No effect: the number of learner processes is spec.learners.replicas x gpus (or x processes).",
            )
        ],
    ),
    (
        {"per_gpu_train_batch_size": 4},
        {"per_device_train_batch_size": 4},
        [("per_gpu_train_batch_size", "Is per_device_train_batch_size today.")],
    ),
    (
        {"warmup_ratio": 0.1},
        {"warmup_steps": 0.1},
        [("warmup_ratio", "Is warmup_steps today, where a value below 1 is a share.")],
    ),
    (
        {"warmup_ratio": 0.1, "warmup_steps": 20},
        {"warmup_steps": 20},
        [("warmup_ratio", "Ignored: the recipe sets warmup_steps, which it is today.")],
    ),
    (
        {"adafactor": True},
        {"optim": "adafactor"},
        [("adafactor", "true is optim: adafactor today.")],
    ),
    ({"adafactor": False}, {}, [("adafactor", "true is optim: adafactor today.")]),
    ({"evaluation_strategy": "no"}, {"eval_strategy": "no"}, [("evaluation_strategy", "Is eval_strategy today.")]),
    ({"scale_rewards": False}, {"scale_rewards": "none"}, [("scale_rewards", 'false is "none" today.')]),
    ({"scale_rewards": True}, {"scale_rewards": "group"}, [("scale_rewards", 'true is "group" today.')]),
    ({"scale_rewards": "batch"}, {"scale_rewards": "batch"}, []),
    ({"scale_rewards": 1}, {"scale_rewards": 1}, []),
    (
        {"attn_implementation": "flash_attention_2"},
        {"attn_implementation": "flash_attention_2"},
        [
            (
                "attn_implementation",
                "Where the learners' image holds no flash-attn (the released one does not), sdpa computes the same "
                "attention.",
            )
        ],
    ),
    ({"use_liger_loss": True}, {"use_liger_kernel": True}, [("use_liger_loss", "Is use_liger_kernel today.")]),
    (
        {"logging_dir": "logs"},
        {},
        [
            (
                "logging_dir",
                "No effect: event files lie in the run's folder; TENSORBOARD_LOGGING_DIR in spec.learners.env moves them.",
            )
        ],
    ),
    (
        {"overwrite_output_dir": True},
        {},
        [
            (
                "overwrite_output_dir",
                "No effect: a run has a folder of its own, and resumes from its newest checkpoint.",
            )
        ],
    ),
    (
        {"output_dir": "data/out", "push_to_hub": True},
        {"output_dir": "data/out", "push_to_hub": True},
        [
            (
                "output_dir",
                "No effect on where a run writes, which status.output says; without hub_model_id, its last part names "
                "the repository to push to.",
            )
        ],
    ),
    ({"output_dir": None}, {"output_dir": None}, []),
    (
        {"trust_remote_code": True},
        {"trust_remote_code": True},
        [
            (
                "trust_remote_code",
                "When true, code that the model's repository brings along runs in learners and generators.",
            )
        ],
    ),
    ({"trust_remote_code": False}, {"trust_remote_code": False}, []),
    ({"hub_model_revision": "v1"}, {"hub_revision": "v1"}, [("hub_model_revision", "Is hub_revision today.")]),
    (
        {"hub_model_revision": "v1", "hub_revision": "v2"},
        {"hub_revision": "v2"},
        [("hub_model_revision", "Ignored: the recipe sets hub_revision, which it is today.")],
    ),
    (
        {"callbacks": ["push_to_hub_revision"], "push_to_hub_revision": True, "overwrite_hub_revision": True},
        {"callbacks": ["push_to_hub_revision"], "push_to_hub_revision": True, "overwrite_hub_revision": True},
        [],
    ),
    (
        {"use_vllm": False, "vllm_server_timeout": 240.0},
        {"use_vllm": True, "vllm_server_timeout": 240.0},
        [
            ("use_vllm", "Completions come from the run's vLLM generators all the same."),
            (
                "vllm_server_timeout",
                "No effect: a run waits for its generators by deadlines of its own (spec.deadlines).",
            ),
        ],
    ),
    (
        {"wandb_log_unique_prompts": True},
        {"log_unique_prompts": True},
        [("wandb_log_unique_prompts", "Is log_unique_prompts today.")],
    ),
]


@pytest.mark.parametrize(("old", "new", "notes"), TRANSLATED, ids=lambda value: str(value)[:40])
def test_what_a_recipe_becomes(old: Recipe, new: Recipe, notes: list[tuple[str, str]]) -> None:
    before = dict(old)
    translated, told = translate(old)
    assert translated == new
    assert [type(value) for value in translated.values()] == [type(value) for value in new.values()]
    assert [(note.key, note.action) for note in told] == notes
    assert old == before
    assert translate(translated)[0] == translated


def test_the_articles_recipe() -> None:
    """confg_full.yaml of 2025-02, without the keys that go on."""
    translated, notes = translate(
        {
            "model_name_or_path": "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B",
            "torch_dtype": "bfloat16",
            "attn_implementation": "flash_attention_2",
            "dataset_configs": ["all"],
            "num_processes": 7,
            "vllm_device": "auto",
            "max_prompt_length": 512,
            "overwrite_output_dir": True,
            "warmup_ratio": 0.1,
        }
    )
    assert translated == {
        "model_name_or_path": "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B",
        "dtype": "bfloat16",
        "attn_implementation": "flash_attention_2",
        "dataset_config": "all",
        "max_prompt_length": 512,
        "warmup_steps": 0.1,
    }
    assert [note.key for note in notes] == [
        "attn_implementation",
        "torch_dtype",
        "dataset_configs",
        "num_processes",
        "vllm_device",
        "max_prompt_length",
        "overwrite_output_dir",
        "warmup_ratio",
    ]


def test_a_warm_up_of_all_steps_is_not_one_of_one_step() -> None:
    (share,) = translate({"warmup_ratio": 1.0})[0].values()
    assert 0.999 < share < 1


def test_what_the_operator_owns_is_owned_under_its_old_name() -> None:
    translated, _ = translate({"push_to_hub_token": "secret", "no_cuda": True, "evaluation_strategy": "steps"})
    sentences = owned_keys(translated)
    assert [sentence.split()[0] for sentence in sentences] == [
        "spec.recipe.hub_token",
        "spec.recipe.use_cpu",
    ]
    assert "secret" not in " ".join(sentences)


@pytest.mark.parametrize("source", KEYS_BY_SOURCE)
def test_every_key_since_2025_is_known(source: str) -> None:
    assert set(KEYS_BY_SOURCE[source]) - TODAYS_KEYS - OLD_KEYS.keys() == set()


def test_the_table_holds_nothing_that_is_a_key_of_today() -> None:
    assert {key: old.becomes for key, old in OLD_KEYS.items() if old.becomes not in {*TODAYS_KEYS, key, None}} == {}
    assert {old.key for old in OLD_VALUES} - TODAYS_KEYS == set()
