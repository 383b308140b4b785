"""Keys and values of older recipes: one table of what TRL, transformers and Open-R1 renamed or dropped since January 2025.

What a key becomes is said once, here, for the CRD, the run's status, the learner's log and docs/old-recipes.md. A recipe
that is translated already is left as it is.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

Recipe = dict[str, Any]


@dataclass(frozen=True)
class Note:
    key: str
    """As the recipe writes it."""
    action: str
    """What was done about it, in one sentence."""


@dataclass(frozen=True)
class OldKey:
    action: str
    becomes: str | None = None
    """Today's key; None: the key has no effect any more."""
    value: Callable[[Any], Any] = lambda value: value
    """Today's value; None: there is nothing to set."""


@dataclass(frozen=True)
class OldValue:
    """A value of a key that goes on."""

    key: str
    value: Any
    becomes: Any
    action: str

    def is_of(self, key: str, value: Any) -> bool:
        # 1 == True and 0 == False in Python, but a recipe that says 1 does not say true.
        return key == self.key and value == self.value and type(value) is type(self.value)


def _renamed(key: str) -> OldKey:
    return OldKey(f"Is {key} today.", key)


def _no_effect(why: str) -> OldKey:
    return OldKey(f"No effect: {why}.")


def _steps_of_share(ratio: float) -> float:
    """warmup_steps below 1 is a share of all steps, and 1 is one step: a share of 1 must stay below."""
    return min(ratio, math.nextafter(1.0, 0.0))


_GPUS_OF_THEIR_OWN: Final = "generators have GPUs of their own"
_LEARNERS: Final = "learners run one process per GPU of spec.learners, under DeepSpeed ZeRO-3"
_PRECISION: Final = "bf16 and fp16 choose the precision, and PyTorch computes it"
_NEVER_READ: Final = "Open-R1's GRPO script never read it"
_NO_CODE_REWARDS: Final = "no built-in reward runs code"
_OTHER_DEVICES: Final = "learners compute on NVIDIA GPUs or on CPU"
_COUNTED_ANYWAY: Final = "a run's metrics hold tokens per second already"

OLD_KEYS: Final[dict[str, OldKey]] = {
    # Model and data.
    "torch_dtype": _renamed("dtype"),
    "dataset_configs": OldKey(
        "Is dataset_config today; the list's one entry is taken.",
        "dataset_config",
        lambda names: next(iter(names), None),
    ),
    "max_prompt_length": OldKey(
        "TRL dropped it, a run keeps its effect: of a longer prompt the last tokens are taken.", "max_prompt_length"
    ),
    "tokenizer_name_or_path": _no_effect(f"{_NEVER_READ}; the tokenizer is the model's"),
    "preprocessing_num_workers": _no_effect("prompts are laid out when they are read"),
    "pass_rate_min": _no_effect(f"{_NEVER_READ}; a script of its own filtered the data set by it"),
    "pass_rate_max": _no_effect(f"{_NEVER_READ}; a script of its own filtered the data set by it"),
    # Generation.
    "vllm_device": _no_effect(_GPUS_OF_THEIR_OWN),
    "vllm_dtype": _no_effect("generators compute in what bf16 and fp16 say, as the learners do"),
    "vllm_max_model_len": _renamed("vllm_max_model_length"),
    "vllm_enable_prefix_caching": _no_effect("vLLM caches prefixes where it can"),
    "vllm_guided_decoding_regex": _renamed("vllm_structured_outputs_regex"),
    # Batches and schedules.
    "num_processes": _no_effect("the number of learner processes is spec.learners.replicas x gpus (or x processes)"),
    "per_gpu_train_batch_size": _renamed("per_device_train_batch_size"),
    "per_gpu_eval_batch_size": _renamed("per_device_eval_batch_size"),
    "warmup_ratio": OldKey("Is warmup_steps today, where a value below 1 is a share.", "warmup_steps", _steps_of_share),
    "adafactor": OldKey("true is optim: adafactor today.", "optim", lambda is_on: "adafactor" if is_on else None),
    "evaluation_strategy": _renamed("eval_strategy"),
    "group_by_length": _no_effect("GRPO draws its prompts in an order of its own"),
    "use_liger_loss": _renamed("use_liger_kernel"),
    "gradient_checkpointing_use_reentrant": _no_effect(
        "TRL's GRPO script never read it; set gradient_checkpointing_kwargs: {use_reentrant: ...}"
    ),
    # Precision, compilation, devices.
    "fp16_backend": _no_effect(_PRECISION),
    "fp16_opt_level": _no_effect(_PRECISION),
    "half_precision_backend": _no_effect(_PRECISION),
    "torchdynamo": _renamed("torch_compile_backend"),
    "no_cuda": _renamed("use_cpu"),
    "use_ipex": _no_effect(_OTHER_DEVICES),
    "use_mps_device": _no_effect(_OTHER_DEVICES),
    "tpu_metrics_debug": _no_effect(_OTHER_DEVICES),
    "tpu_num_cores": _no_effect(_OTHER_DEVICES),
    "jit_mode_eval": _no_effect("transformers dropped it"),
    "mp_parameters": _no_effect(_LEARNERS),
    "tp_size": _no_effect(_LEARNERS),
    "fsdp_min_num_params": _no_effect(_LEARNERS),
    "fsdp_transformer_layer_cls_to_wrap": _no_effect(_LEARNERS),
    "dispatch_batches": _no_effect(_LEARNERS),
    "split_batches": _no_effect(_LEARNERS),
    # What is written, and what is measured.
    "overwrite_output_dir": _no_effect("a run has a folder of its own, and resumes from its newest checkpoint"),
    "save_safetensors": _no_effect("models are always saved as safetensors"),
    "logging_dir": _no_effect(
        "event files lie in the run's folder; TENSORBOARD_LOGGING_DIR in spec.learners.env moves them"
    ),
    "include_inputs_for_metrics": _no_effect("GRPO has no metrics of inputs"),
    "include_tokens_per_second": _no_effect(_COUNTED_ANYWAY),
    "past_index": _no_effect("GRPO models have no past to hand on"),
    "ray_scope": _no_effect("a run searches no hyperparameters"),
    "use_legacy_prediction_loop": _no_effect("transformers dropped it"),
    # The hub.
    "push_to_hub_token": _renamed("hub_token"),
    "push_to_hub_model_id": _renamed("hub_model_id"),
    "push_to_hub_organization": _no_effect("it is the first part of hub_model_id today"),
    "hub_model_revision": _renamed("hub_revision"),
    # Open-R1's, beyond training.
    "wandb_log_unique_prompts": _renamed("log_unique_prompts"),
    "code_eval_scoring_mode": _no_effect(_NO_CODE_REWARDS),
    "code_eval_test_batch_size": _no_effect(_NO_CODE_REWARDS),
    "code_provider": _no_effect(_NO_CODE_REWARDS),
    "parallel_code_exec_per_proc": _no_effect(_NO_CODE_REWARDS),
    "e2b_router_url": _no_effect(_NO_CODE_REWARDS),
    "morph_router_url": _no_effect(_NO_CODE_REWARDS),
    "ioi_provider": _no_effect(_NO_CODE_REWARDS),
}

OLD_VALUES: Final = (
    OldValue("scale_rewards", True, "group", 'true is "group" today.'),
    OldValue("scale_rewards", False, "none", 'false is "none" today.'),
    OldValue("use_vllm", False, True, "Completions come from the run's vLLM generators all the same."),
    OldValue(
        "attn_implementation",
        "flash_attention_2",
        "flash_attention_2",
        "Where the learners' image holds no flash-attn (the released one does not), sdpa computes the same attention.",
    ),
    OldValue(
        "use_liger_kernel",
        True,
        True,
        "Where the learners' image holds no liger-kernel (the released one does not), PyTorch computes the same loss.",
    ),
)

NOTED_KEYS: Final = {
    "bnb_4bit_quant_storage": "No effect: learners hold 4-bit weights as bytes, which ZeRO-3 splits as well.",
    "enable_jit_checkpoint": "No effect: all learners save together when one of their pods is asked to end, whatever the recipe "
    "says.",
    "output_dir": "No effect on where a run writes, which status.output says; without hub_model_id, its last part names the "
    "repository to push to.",
    "vllm_server_timeout": "No effect: a run waits for its generators by deadlines of its own (spec.deadlines).",
    "trust_remote_code": "When true, code that the model's repository brings along runs in learners and generators.",
}
"""Keys of today whose effect is another in a run, or is to be seen in its status; null and false say nothing."""


def translate(recipe: Mapping[str, Any]) -> tuple[Recipe, list[Note]]:
    """The recipe in today's keys and values, and a note for each key about which there is something to say.

    An old key that is null is as good as absent, unless it is a key today as well. Where a recipe holds an old key and
    what it became, today's wins, unless it is null, 0 or false: `warmup_steps: 0` never kept a `warmup_ratio` from it.
    """
    translated: Recipe = {}
    notes: list[Note] = []
    for key in sorted(recipe, key=OLD_KEYS.__contains__):  # old keys last: they replace what is null, 0 or false
        said, action = _translate_one(key, recipe[key], recipe)
        translated |= said
        if action:
            notes.append(Note(key, action))
    return translated, notes


def _translate_one(key: str, value: Any, recipe: Mapping[str, Any]) -> tuple[Recipe, str | None]:
    if key in NOTED_KEYS and value not in (None, False):
        return {key: value}, NOTED_KEYS[key]
    if key not in OLD_KEYS:
        return _translate_value(key, value)
    old = OLD_KEYS[key]
    if value is None:
        return ({key: None} if old.becomes == key else {}), None
    if old.becomes is None:
        return {}, old.action
    if old.becomes != key and recipe.get(old.becomes):
        return {}, f"Ignored: the recipe sets {old.becomes}, which it is today."
    becomes = old.value(value)
    if becomes is None:
        return {}, old.action
    # What it becomes may have old values itself.
    return _translate_value(old.becomes, becomes)[0], old.action


def _translate_value(key: str, value: Any) -> tuple[Recipe, str | None]:
    old = next((old for old in OLD_VALUES if old.is_of(key, value)), None)
    return ({key: value}, None) if old is None else ({key: old.becomes}, old.action)
