"""Packages that recipes ask for and an image may lack, where the run computes the same without them; and those that an image
holds and a run does not use."""

import logging
import re
import sys
from collections.abc import Mapping
from importlib import metadata
from typing import Any, Final

from grpo_contract.needed_packages import KERNELS

# (key, value that needs a package, the distributions of which one will do, the value without)
OPTIONAL: Final = (
    ("attn_implementation", "flash_attention_2", ("flash-attn", KERNELS), "sdpa"),
    ("use_liger_kernel", True, ("liger-kernel",), False),
)

PEFT: Final = "peft"
"""transformers, accelerate and TRL import it wherever it is installed."""
BITSANDBYTES: Final = "bitsandbytes"
"""So does peft."""
OF_BITSANDBYTES: Final = re.compile(r"(paged_)?(adamw|ademamix|lion|rmsprop)(_bnb)?_(8|32)bit|ademamix|rmsprop_bnb")
"""Names of optimizers that transformers takes from it."""

log = logging.getLogger(__name__)


def without_missing_packages(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """What contract: old_keys.py says of these keys is done here, where it is known what is installed."""
    found = dict(recipe)
    for key, value, distributions, instead in OPTIONAL:
        if recipe.get(key) == value and not any(map(is_installed, distributions)):
            log.info(
                "spec.recipe.%s: %r needs %s, which is not installed; it is %r", key, value, distributions[0], instead
            )
            found[key] = instead
    return found


def is_installed(distribution: str) -> bool:
    try:
        return bool(metadata.version(distribution))
    except metadata.PackageNotFoundError:
        return False


def leave_out_unused(recipe: Mapping[str, Any]) -> None:
    """To all libraries of this process they are not installed then. Before transformers is imported.

    Code that a model brings along may import what it likes.
    """
    if recipe.get("trust_remote_code"):
        return
    for package, is_used in ((PEFT, recipe.get("use_peft")), (BITSANDBYTES, needs_bitsandbytes(recipe))):
        if not is_used:
            sys.modules[package] = None  # type: ignore[assignment]  # what Python documents for a module not to be imported


def needs_bitsandbytes(recipe: Mapping[str, Any]) -> bool:
    return bool(recipe.get("load_in_4bit")) or OF_BITSANDBYTES.fullmatch(str(recipe.get("optim"))) is not None
