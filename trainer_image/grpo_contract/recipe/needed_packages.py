"""Packages that a value of a recipe needs and the project's images lack. An image of one's own may hold them.

Where the run computes the same without one, it does without. Before a run, any other is a note, and in its pod a mistake.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

KERNELS: Final = "kernels"
"""The distribution with which transformers takes flash attention from the hub instead."""


@dataclass(frozen=True)
class NeededPackage:
    key: str
    """Of the recipe."""
    value: Any
    distribution: str
    """As pip calls it."""
    falls_back_to: Any = None
    """What the value becomes without it; None: the run fails."""

    @property
    def any_of(self) -> tuple[str, ...]:
        """Distributions of which one will do."""
        return (self.distribution, KERNELS) if self.key == ATTENTION else (self.distribution,)

    @property
    def needs(self) -> str:
        return f"spec.recipe.{self.key}: {self.value!r} needs the package {self.distribution}"

    @property
    def remedy(self) -> str:
        return f"set it to {INSTEAD[self.key]}, leave it out, or use an image that holds {self.distribution}"


ATTENTION: Final = "attn_implementation"
OPTIMIZER: Final = "optim"
INSTEAD: Final = {ATTENTION: "sdpa", OPTIMIZER: "adamw_torch"}
"""What needs none."""

_OF_OPTIMIZERS: Final[dict[str, str]] = {
    **dict.fromkeys(
        (
            "galore_adafactor", "galore_adafactor_layerwise", "galore_adamw", "galore_adamw_8bit",
            "galore_adamw_8bit_layerwise", "galore_adamw_layerwise",
        ),
        "galore-torch",
    ),
    **dict.fromkeys(("apollo_adamw", "apollo_adamw_layerwise"), "apollo-torch"),
    **dict.fromkeys(("lomo", "adalomo"), "lomo-optim"),
    **dict.fromkeys(("schedule_free_adamw", "schedule_free_radam", "schedule_free_sgd"), "schedulefree"),
    **dict.fromkeys(("adamw_torch_4bit", "adamw_torch_8bit"), "torchao"),
    "adamw_anyprecision": "torchdistx",
    "adamw_torch_npu_fused": "torch-npu",
    "adamw_torch_xla": "torch-xla",
    "grokadamw": "grokadamw",
    "stable_adamw": "torch-optimi",
}  # fmt: skip
"""{value: the distribution}"""

TABLE: Final = (
    NeededPackage(ATTENTION, "flash_attention_2", "flash-attn", falls_back_to=INSTEAD[ATTENTION]),
    NeededPackage(ATTENTION, "flash_attention_3", "flash-attn-3"),
    NeededPackage(ATTENTION, "flash_attention_4", "flash-attn-4"),
    NeededPackage("use_liger_kernel", True, "liger-kernel", falls_back_to=False),
    *(NeededPackage(OPTIMIZER, value, distribution) for value, distribution in _OF_OPTIMIZERS.items()),
)


def packages_of(recipe: Mapping[str, Any]) -> list[NeededPackage]:
    """Without which the run fails."""
    return [needed for needed in _asked_for(recipe) if needed.falls_back_to is None]


def optional_packages_of(recipe: Mapping[str, Any]) -> list[NeededPackage]:
    return [needed for needed in _asked_for(recipe) if needed.falls_back_to is not None]


def _asked_for(recipe: Mapping[str, Any]) -> list[NeededPackage]:
    return [needed for needed in TABLE if recipe.get(needed.key) == needed.value]
