"""What the dataclasses do not say about a recipe's keys: the only hand-written part of the recipe's schema."""

from typing import Final

from codegen.recipe_types import ANYTHING, Schema
from grpo_contract.recipe.callbacks import CALLBACKS
from grpo_contract.recipe.dataset_mixture import DatasetMixture
from grpo_contract.recipe.old_keys import NOTED_KEYS
from grpo_contract.rewards import REWARD_BOUNDS
from grpo_operator.api.schema import structural_schema

# Of old keys that are not what their name of today is; those without effect may hold anything.
OLD_KEY_TYPES: Final[dict[str, Schema]] = {
    "adafactor": {"type": "boolean", "nullable": True},
    "dataset_configs": {"type": "array", "maxItems": 1, "items": {"type": "string"}, "nullable": True},
    "max_prompt_length": {"type": "integer", "minimum": 1, "nullable": True},
    "warmup_ratio": {"type": "number", "minimum": 0, "maximum": 1, "nullable": True},
}

_STRING_OR_LIST: Final[Schema] = ANYTHING | {"nullable": True}
LOG_LEVEL: Final[Schema] = {
    "type": "string",
    "enum": ["detail", "debug", "info", "warning", "error", "critical", "passive"],
}
"""transformers computes them."""

# Types that are annotated more narrowly than they are read, or more widely than an API may take them, and keys that a
# run must be able to hold in any form, because it gets its answer in the Accepted condition (contract: owned_keys.py).
TYPES: Final[dict[str, Schema]] = {
    "accelerator_config": ANYTHING,
    "benchmarks": {
        "type": "array",
        "nullable": True,
        "maxItems": 32,
        "items": {"type": "string", "minLength": 1, "maxLength": 253},
    },
    "callbacks": {
        "type": "array",
        "nullable": True,
        "maxItems": len(CALLBACKS),
        "items": {"type": "string", "enum": list(CALLBACKS)},
    },
    "dataset_mixture": structural_schema(DatasetMixture, defaults=False) | {"nullable": True},
    "deepspeed": ANYTHING,
    "fsdp": ANYTHING,
    "fsdp_config": ANYTHING,
    "include_num_input_tokens_seen": ANYTHING | {"enum": ["all", "non_padding", "no", True, False]},
    "log_level": LOG_LEVEL,
    "log_level_replica": LOG_LEVEL,
    "lora_target_modules": _STRING_OR_LIST,
    "lora_target_parameters": _STRING_OR_LIST,
    "num_generations": {"type": "integer"},
    "resume_from_checkpoint": ANYTHING,
    "reward_funcs": {"type": "array", "maxItems": 64, "items": {"type": "string", "maxLength": 253}},
    "scale_rewards": ANYTHING | {"enum": ["group", "batch", "none", True, False]},
    "transformers_continuous_batching_config": ANYTHING,
}

# Values of keys that TRL annotates as plain strings; each is named in the key's help text, which is checked.
VALUES: Final[dict[str, tuple[str, ...]]] = {
    "importance_sampling_level": ("token", "sequence"),
    "loss_type": ("grpo", "dr_grpo", "dapo", "bnpo", "cispo", "sapo", "luspo", "vespo"),
    "multi_objective_aggregation": ("sum_then_normalize", "normalize_then_sum"),
    "vllm_importance_sampling_mode": ("token_truncate", "token_mask", "sequence_truncate", "sequence_mask"),
    "vllm_mode": ("server", "colocate"),
    "vllm_model_impl": ("vllm", "transformers"),
}

_COUNT: Final[Schema] = {"minimum": 1}
_NOT_NEGATIVE: Final[Schema] = {"minimum": 0}
_SEED: Final[Schema] = {"minimum": 0, "maximum": 2**32 - 1}
"""What NumPy takes."""
_POSITIVE: Final[Schema] = {"minimum": 0, "exclusiveMinimum": True}
_SHARE: Final[Schema] = {"minimum": 0, "maximum": 1}
_POSITIVE_SHARE: Final[Schema] = _SHARE | {"exclusiveMinimum": True}
_BETA: Final[Schema] = _SHARE | {"exclusiveMaximum": True}

# Bounds that TRL, transformers, PyTorch or vLLM check only when the run is under way, if at all.
BOUNDS: Final[dict[str, Schema]] = {
    **{key: dict(bounds) for key, bounds in REWARD_BOUNDS.items()},
    "adam_beta1": _BETA,
    "adam_beta2": _BETA,
    "adam_epsilon": _NOT_NEGATIVE,
    "beta": _NOT_NEGATIVE,
    "data_seed": _SEED,
    "dataloader_num_workers": _NOT_NEGATIVE,
    "dataset_prompt_column": {"minLength": 1},
    "delta": _POSITIVE,
    "early_stopping_patience": _COUNT,
    "early_stopping_threshold": _NOT_NEGATIVE,
    "epsilon": _NOT_NEGATIVE,
    "epsilon_high": _NOT_NEGATIVE,
    "generation_batch_size": _COUNT,
    "gradient_accumulation_steps": _COUNT,
    "learning_rate": _NOT_NEGATIVE,
    "logging_steps": _NOT_NEGATIVE,
    "lora_alpha": _COUNT,
    "lora_dropout": _SHARE,
    "lora_r": _COUNT,
    "max_completion_length": _COUNT,
    "min_p": _SHARE,
    "num_generations_eval": _COUNT,
    "num_iterations": _COUNT,
    "per_device_eval_batch_size": _COUNT,
    "per_device_train_batch_size": _COUNT,
    "repetition_penalty": _POSITIVE,
    "save_steps": _NOT_NEGATIVE,
    "seed": _SEED,
    "steps_per_generation": _COUNT,
    "temperature": _POSITIVE,
    "top_entropy_quantile": _SHARE,
    "top_k": {"minimum": -1},
    "top_p": _POSITIVE_SHARE,
    "torch_empty_cache_steps": _COUNT,
    "vllm_gpu_memory_utilization": _POSITIVE_SHARE,
    "vllm_max_model_length": _COUNT,
    "warmup_steps": _NOT_NEGATIVE,
    "weight_decay": _NOT_NEGATIVE,
}

# Keys that are without effect until another one is true, which recipes in use hold all the same, and what is said before
# their help text. What a run cannot do yet OWNED_KEYS refuses.
_OF_LORA: Final = "Without effect while use_peft is false:"
_OF_4BIT: Final = "Without effect while load_in_4bit is false:"
_REFUSED: Final = "Not supported:"
SAID_FIRST: Final[dict[str, str]] = {
    "bnb_4bit_quant_storage": _OF_4BIT,
    "bnb_4bit_quant_type": _OF_4BIT,
    "load_in_4bit": "Needs use_peft:",
    "load_in_8bit": _REFUSED,
    "lora_alpha": _OF_LORA,
    "lora_dropout": _OF_LORA,
    "lora_modules_to_save": _OF_LORA,
    "lora_r": _OF_LORA,
    "lora_target_modules": _OF_LORA,
    "lora_target_parameters": _OF_LORA,
    "lora_task_type": _OF_LORA,
    "use_bnb_nested_quant": _OF_4BIT,
    "use_dora": _OF_LORA,
    "use_rslora": _OF_LORA,
}

# Where a run differs from what the key's help text says.
NOTES: Final[dict[str, str]] = {
    "bf16": "On CPU a run computes in float32, whatever this says.",
    "dtype": "It is what learners load the model in; learners and generators compute in what bf16 and fp16 say. With load_in_4bit "
    "it is without effect.",
    "fp16": "On CPU a run computes in float32, whatever this says.",
    "greater_is_better": "Of any metric but a loss, higher is better where this is left out.",
    "hub_always_push": "In a run a checkpoint that waits gives way to a newer one, unless this is true; two wait at most.",
    "hub_model_id": "A run that leaves it out takes the last part of output_dir, or its own name.",
    "hub_revision": "A run makes the branch if it is not there; without it, the branch is main.",
    "lora_dropout": "Above 0, the learner's log-probabilities are those of a model with parts left out, and the differences to the "
    "generators' in the run's metrics with them.",
    "logging_steps": "A run whose recipe leaves it out logs every step. With more, the run's status and metrics show the "
    "means over the steps since they were last logged.",
    "load_best_model_at_end": "The checkpoint of the best evaluation is saved whatever save_strategy says, and stays. A run needs "
    "metric_for_best_model with it.",
    "lr_scheduler_kwargs": "Left out, `mode` of reduce_lr_on_plateau and greedy follows greater_is_better in a run.",
    "metric_for_best_model": "In a run it has no default where evaluations are compared: the loss of GRPO says nothing of how good a "
    "model is. Any figure of an evaluation will do, as in reward or rewards/accuracy/mean.",
    **NOTED_KEYS,
    "push_to_hub": "HF_TOKEN must be in spec.learners.env, from a Secret.",
    "resume_from_checkpoint": "A folder below /volume: the run starts from that checkpoint, and goes on from its own as soon "
    "as it has one. true and false change nothing.",
    "save_strategy": "A run whose recipe sets neither save_strategy nor save_steps saves nothing of this kind: what it "
    "resumes from is written as spec.checkpoint says. With load_best_model_at_end it saves as with best.",
    "vllm_gpu_memory_utilization": "Generators have their GPUs to themselves and take this value; without it, vLLM's "
    "own default holds.",
}
