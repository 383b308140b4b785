"""What of a recipe cannot work, whatever the model, the data and the images are, and the CRD's rules cannot see: they know
nothing of values of any type and of keys within them, nor of what an evaluation measures. One answer for acceptance and for
`kubectl grpo check`; a learner asks for a figure itself, by the defaults of the TRL in its image."""

from collections.abc import Collection, Mapping
from typing import Any, Final

from grpo_contract.recipe import (
    activation_checkpointing,
    adapter_targets,
    attention,
    figures,
    hub_names,
    optimizer_arguments,
    sampling,
    schedules,
    trackers,
)

CHECKS: Final = (
    *hub_names.CHECKS,
    (adapter_targets.KEYS, adapter_targets.targets_mistake),
    (attention.KEYS, attention.attention_mistake),
    (activation_checkpointing.KEYS, activation_checkpointing.checkpointing_mistake),
    (optimizer_arguments.KEYS, optimizer_arguments.optimizer_mistake),
    (sampling.KEYS, sampling.sampling_mistake),
    (schedules.KEYS, schedules.schedule_mistake),
    (trackers.KEYS, trackers.tracker_mistake),
    (figures.KEYS, figures.unknown_figure),
)
"""(keys that it looks at, a sentence of the recipe's values)"""


def recipe_mistakes(recipe: Mapping[str, Any], defaults: Mapping[str, Any], refused: Collection[str] = ()) -> list[str]:
    """`recipe` in today's keys, `defaults` TRL's where it is silent. A sentence each, which begins with its field.
    `refused`: keys whose values are refused already and are not in the recipe; nothing is said of what goes with them."""
    values = {**defaults, **recipe}
    return [
        sentence for keys, check in CHECKS if not set(keys) & set(refused) and (sentence := check(values)) is not None
    ]
