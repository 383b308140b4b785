"""Packages that a value of a recipe needs and the project's images lack. An image of one's own may hold them: before a run
they are a note, in its pod a mistake where they are missing."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

KERNELS: Final = "kernels"
"""The distribution with which transformers takes flash attention from the hub instead."""


@dataclass(frozen=True)
class NeededPackage:
    key: str
    """Of the recipe."""
    value: str
    distribution: str
    """As pip calls it."""

    @property
    def needs(self) -> str:
        return f"spec.recipe.{self.key}: {self.value!r} needs the package {self.distribution}"

    @property
    def remedy(self) -> str:
        return f"set it to {INSTEAD[self.key]}, leave it out, or use an image that holds {self.distribution}"


INSTEAD: Final = {"attn_implementation": "sdpa", "optim": "adamw_torch"}
"""What needs none."""

# Without flash_attention_2 there is sdpa (see old_keys.py).
NEEDED_BY: Final[dict[str, dict[str, str]]] = {
    "attn_implementation": {"flash_attention_3": "flash-attn-3", "flash_attention_4": "flash-attn-4"},
    "optim": {
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
    },
}  # fmt: skip
"""{key: {value: the distribution}}"""


def needed_packages(recipe: Mapping[str, Any]) -> list[NeededPackage]:
    return [
        NeededPackage(key, recipe[key], distributions[recipe[key]])
        for key, distributions in NEEDED_BY.items()
        if recipe.get(key) in distributions
    ]
