"""What an attempt's generators are made by, kept on their Deployment: an operator of another version, or with other defaults,
leaves them alone until the next attempt, as it leaves the learners' Job."""

from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, ValidationError

from grpo_contract.labels import API_GROUP
from grpo_operator.desired.manifest import Manifest

PODS_ANNOTATION: Final = f"{API_GROUP}/pods"


class PodsOfAttempt(BaseModel):
    model_config = ConfigDict(frozen=True)

    asked: str
    """A digest of all that the run says of them. What operators make of it may differ."""
    template: Manifest


def pods_on(deployment: Mapping[str, Any]) -> PodsOfAttempt | None:
    """None: an operator that did not keep them has made it, or somebody has edited them."""
    try:
        return PodsOfAttempt.model_validate_json(deployment["metadata"].get("annotations", {}).get(PODS_ANNOTATION, ""))
    except ValidationError:
        return None
