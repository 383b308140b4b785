"""What a recipe asks for on the hub. Its keys are read without TRL, so that the launcher can refuse them within a second."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Any, Final

from grpo_contract.failure import PodReason, UserError
from grpo_contract.recipe.callbacks import REVISION_CALLBACK, callbacks_of

MAIN: Final = "main"


class Strategy(StrEnum):
    """transformers' hub_strategy."""

    END = "end"
    EVERY_SAVE = "every_save"
    CHECKPOINT = "checkpoint"
    ALL_CHECKPOINTS = "all_checkpoints"


@dataclass(frozen=True)
class HubSettings:
    repository: str
    branch: str
    is_private: bool | None
    """None: as the account or organization has it. The hub ignores it for a repository that exists."""
    strategy: Strategy | None
    """None: nothing but a branch per checkpoint."""
    always_pushes: bool = False
    """A checkpoint that waits for the push before it is not passed over for a newer one."""
    is_guarded: bool = False
    """A branch that holds somebody else's model is left alone."""
    has_branch_per_checkpoint: bool = False


def read_settings(recipe: Mapping[str, Any], run_name: str) -> HubSettings | None:
    """`recipe` is in today's keys. None: it pushes nothing.

    Raises:
        UserError: a value that transformers and Open-R1 do not know.
    """
    pushes, pushes_revision = bool(recipe.get("push_to_hub")), bool(recipe.get("push_to_hub_revision"))
    has_callback = REVISION_CALLBACK in callbacks_of(recipe)
    if not (pushes or pushes_revision or has_callback):
        return None
    private = recipe.get("hub_private_repo")
    return HubSettings(
        repository=recipe.get("hub_model_id") or PurePosixPath(recipe.get("output_dir") or "").name or run_name,
        branch=recipe.get("hub_revision") or MAIN,
        # Open-R1 makes the repositories of its own pushes private.
        is_private=True if private is None and not pushes else private,
        strategy=_strategy(recipe) if pushes else Strategy.END if pushes_revision else None,
        always_pushes=bool(recipe.get("hub_always_push")),
        is_guarded=pushes_revision and not recipe.get("overwrite_hub_revision"),
        has_branch_per_checkpoint=has_callback,
    )


def _strategy(recipe: Mapping[str, Any]) -> Strategy:
    name = recipe.get("hub_strategy") or Strategy.EVERY_SAVE
    if name not in set(Strategy):
        raise UserError(
            PodReason.INVALID_RECIPE,
            f"spec.recipe.hub_strategy: {name!r} is not one of {', '.join(Strategy)}; set it to one.",
        )
    return Strategy(name)
