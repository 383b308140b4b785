"""Keys of a recipe that a run does not leave to its author: one table for acceptance, the reference and the learner.

They stay in the CRD's schema, because recipes in use hold them, and the answer to one is a sentence in the Accepted
condition. A value that says what happens anyway is accepted. A learner that is started by hand answers the same.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from grpo_contract.files import is_on_volume


@dataclass(frozen=True)
class OwnForm:
    """Values that are the recipe's to set all the same."""

    words: str
    """For the reference."""
    fits: Callable[[Any, Mapping[str, Any]], bool]
    """Of a value in a recipe."""


@dataclass(frozen=True)
class OwnedKey:
    reason: str
    remedy: str = "leave it out"
    accepted: tuple[Any, ...] = ()
    """Values that change nothing; null is always one."""
    secret: bool = False
    """The value must not be repeated in a message."""
    only_with: str | None = None
    """A key without which this one is without effect, whatever it says."""
    own_form: OwnForm | None = None

    def accepts(self, value: Any, recipe: Mapping[str, Any]) -> bool:
        # 1 == True and 0 == False in Python, but a recipe that says 1 does not say true.
        changes_nothing = value is None or any(value == same and type(value) is type(same) for same in self.accepted)
        return changes_nothing or (self.own_form is not None and self.own_form.fits(value, recipe))


_GENERATION: Final = "completions come from the run's vLLM generators"
_SERVER: Final = "the learners find the run's generators by themselves"
_ZERO3: Final = "the learners run under DeepSpeed ZeRO-3"
_PROCESSES: Final = "the processes of the learners are started and connected for them"
_SHARED: Final = "all learners write to one volume"
_LORA: Final = "use_peft"
_MERGED: Final = "generators are given plain LoRA of linear modules, merged with the model"

OWNED_KEYS: Final[dict[str, OwnedKey]] = {
    # Where completions come from.
    "use_vllm": OwnedKey(_GENERATION, accepted=(True,)),
    "vllm_mode": OwnedKey(_GENERATION, accepted=("server",)),
    "vllm_server_base_url": OwnedKey(_SERVER),
    "vllm_server_host": OwnedKey(_SERVER),
    "vllm_server_port": OwnedKey(_SERVER),
    "vllm_group_port": OwnedKey(_SERVER),
    "vllm_tensor_parallel_size": OwnedKey(
        "a generator uses all GPUs of its pod", "leave it out and set spec.generators.gpus"
    ),
    "vllm_enable_sleep_mode": OwnedKey("generators do not share their GPUs with learners", accepted=(False,)),
    "use_transformers_continuous_batching": OwnedKey(_GENERATION, accepted=(False,)),
    "use_transformers_paged": OwnedKey(_GENERATION, accepted=(False,)),
    "transformers_continuous_batching_config": OwnedKey(_GENERATION),
    "cache_implementation": OwnedKey(_GENERATION),
    # How learners are spread over devices and nodes.
    "deepspeed": OwnedKey(_ZERO3),
    "fsdp": OwnedKey(_ZERO3, accepted=("", False)),
    "fsdp_config": OwnedKey(_ZERO3),
    "ds3_gather_for_generation": OwnedKey("generators need whole parameters", accepted=(True,)),
    "accelerator_config": OwnedKey(_ZERO3),
    "use_cpu": OwnedKey(
        "the device follows from spec.learners.gpus", "leave it out and set spec.learners.gpus to 0", accepted=(False,)
    ),
    "local_rank": OwnedKey(_PROCESSES, accepted=(-1,)),
    "ddp_backend": OwnedKey("the backend is NCCL on GPU and gloo on CPU"),
    "ddp_timeout": OwnedKey(
        "learners have a deadline for collective operations already",
        "leave it out and set spec.deadlines.collectiveSeconds",
    ),
    # What is written where, and where a run goes on.
    "resume_from_checkpoint": OwnedKey(
        "a run starts from checkpoints on its volume alone, which is mounted at /volume",
        "set it to the folder of one, as in /volume/runs/first-1a2b3c4d/checkpoints/checkpoint-100, or leave it out: a run "
        "resumes from its own newest checkpoint by itself",
        accepted=(False, True),
        own_form=OwnForm("a folder below /volume", lambda value, _: isinstance(value, str) and is_on_volume(value)),
    ),
    "save_on_each_node": OwnedKey(_SHARED, accepted=(False,)),
    "save_only_model": OwnedKey("a run could not resume from such a checkpoint", accepted=(False,)),
    "hub_token": OwnedKey(
        "everybody who may read the run could read it",
        "leave it out and set HF_TOKEN from a Secret in spec.learners.env",
        secret=True,
    ),
    # Bases that are held in fewer bits.
    "load_in_4bit": OwnedKey(
        "weights of 4 bit cannot be trained themselves",
        "set use_peft to true as well, or leave it out",
        accepted=(False,),
        own_form=OwnForm(
            f"`true` where `{_LORA}` is true", lambda value, recipe: value is True and recipe.get(_LORA) is True
        ),
    ),
    "load_in_8bit": OwnedKey(
        "8-bit layers round what goes into them as well (LLM.int8), so that no weights make a generator compute the same",
        "leave it out, or set load_in_4bit",
        accepted=(False,),
    ),
    # What of an adapter generators could not be given.
    "lora_task_type": OwnedKey("GRPO trains causal language models", accepted=("CAUSAL_LM",), only_with=_LORA),
    "lora_modules_to_save": OwnedKey(_MERGED, accepted=([],), only_with=_LORA),
    "lora_target_parameters": OwnedKey(
        _MERGED, "leave it out and set lora_target_modules", accepted=([],), only_with=_LORA
    ),
    "use_dora": OwnedKey(_MERGED, accepted=(False,), only_with=_LORA),
}


def owned_keys(recipe: Mapping[str, Any]) -> list[str]:
    """One sentence for each key that is not the recipe's to set, in its order; empty: the recipe is acceptable."""
    return [
        _sentence(key, value, OWNED_KEYS[key])
        for key, value in recipe.items()
        if key in OWNED_KEYS and _is_in_effect(OWNED_KEYS[key], recipe) and not OWNED_KEYS[key].accepts(value, recipe)
    ]


def _is_in_effect(owned: OwnedKey, recipe: Mapping[str, Any]) -> bool:
    return owned.only_with is None or recipe.get(owned.only_with) is True


def _sentence(key: str, value: Any, owned: OwnedKey) -> str:
    said = "is set" if owned.secret else f"is {json.dumps(value, ensure_ascii=False)}"
    return f"spec.recipe.{key} {said}, but {owned.reason}; {owned.remedy}."
