"""What the learners' image holds of the packages that a recipe asks for, and which of them a run does not use."""

import logging
import re
import sys
from collections.abc import Mapping
from importlib import metadata
from typing import Any, Final

from grpo_contract.failure import PodReason, UserError
from grpo_contract.recipe.needed_packages import NeededPackage, optional_packages_of, packages_of

PEFT: Final = "peft"
"""transformers, accelerate and TRL import it wherever it is installed."""
BITSANDBYTES: Final = "bitsandbytes"
"""So does peft."""
OF_BITSANDBYTES: Final = re.compile(r"(paged_)?(adamw|ademamix|lion|rmsprop)(_bnb)?_(8|32)bit|ademamix|rmsprop_bnb")
"""Names of optimizers that transformers takes from it."""

log = logging.getLogger(__name__)


def check_packages(recipe: Mapping[str, Any]) -> None:
    """transformers asks when it has loaded the model's configuration, or when training begins.

    Raises:
        UserError: the run would fail without one.
    """
    for needed in packages_of(recipe):
        if not is_there(needed):
            raise UserError(
                PodReason.INVALID_RECIPE,
                f"{needed.needs}, which is not in the learners' image; {needed.remedy}.",
            )


def without_missing_packages(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """What contract: old_keys.py says of these keys is done here, where it is known what is installed."""
    found = dict(recipe)
    for needed in optional_packages_of(recipe):
        if not is_there(needed):
            log.info(
                "spec.recipe.%s: %r needs %s, which is not installed; it is %r",
                needed.key, needed.value, needed.distribution, needed.falls_back_to,
            )  # fmt: skip
            found[needed.key] = needed.falls_back_to
    return found


def is_there(needed: NeededPackage) -> bool:
    return any(map(is_installed, needed.any_of))


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
