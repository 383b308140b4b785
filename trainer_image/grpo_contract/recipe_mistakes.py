"""What of a recipe cannot work, whatever the model, the data and the images are, and the CRD's rules cannot see: they know
nothing of values of any type and of keys within them. One answer for acceptance and for `kubectl grpo check`."""

from collections.abc import Mapping
from typing import Any, Final

from grpo_contract.adapter_targets import targets_mistake
from grpo_contract.schedules import schedule_mistake

CHECKS: Final = (targets_mistake, schedule_mistake)


def recipe_mistakes(recipe: Mapping[str, Any]) -> list[str]:
    """`recipe` in today's keys. A sentence each, which begins with its field."""
    return [sentence for check in CHECKS if (sentence := check(recipe)) is not None]
