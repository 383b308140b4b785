"""Training of an adapter (LoRA) instead of all parameters: what peft cannot make of a recipe, said of its key."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from grpo_contract.failure import PodReason, UserError
from grpo_contract.recipe.adapter_targets import NOT_LINEAR, unsuitable_targets
from grpo_trainer.causes import first_line, modules_of
from grpo_trainer.light_trl import ModelConfig, get_peft_config


def adapter_of(model: ModelConfig) -> Any:
    """peft's configuration of the adapter; None: all parameters are trained. It names the revision of the base, of which peft
    would else take the newest when it loads the adapter."""
    adapter = get_peft_config(model)
    if adapter is not None:
        adapter.revision = model.model_revision
    return adapter


@contextmanager
def targets_named(modules: Any) -> Iterator[None]:
    """`modules`: the recipe's lora_target_modules.

    Raises:
        UserError: what peft refuses, which it does when it looks for them in the model.
    """
    try:
        yield
    except ValueError as error:
        if not modules_of(error)[-1].startswith("peft."):
            raise
        raise unsuitable(modules, f"peft refuses it ({first_line(error)})") from error


def check_targets(model: Any, modules: Any) -> None:
    """Embeddings may be tied to the head, which the adapter would change in a generator and not in the learner."""
    from peft.tuners.lora import Linear, LoraLayer  # only runs that train an adapter have it

    for name, module in model.named_modules():
        if isinstance(module, LoraLayer) and not (isinstance(module, Linear) or is_quantised(module.get_base_layer())):
            raise unsuitable(modules, f"{name.rpartition('.')[2]} {NOT_LINEAR}")


def is_quantised(layer: Any) -> bool:
    """Such layers are linear, and peft has a class of its own for their adapters."""
    return getattr(getattr(layer, "weight", None), "quant_state", None) is not None


def unsuitable(modules: Any, reason: str) -> UserError:
    return UserError(PodReason.INVALID_RECIPE, unsuitable_targets(modules, reason))
