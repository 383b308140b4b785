"""What an attempt's generators are made by, kept on their Deployment: an operator of another version, or with other defaults,
leaves them alone until the next attempt, as it leaves the learners' Job."""

from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError

from grpo_contract.labels import API_GROUP
from grpo_operator.desired.manifest import Manifest

PODS_ANNOTATION: Final = f"{API_GROUP}/pods"


class PodsOfAttempt(BaseModel):
    model_config = ConfigDict(frozen=True)

    attempt: int
    asked: str
    """A digest of all that the run says of them. What operators make of it may differ."""
    template: Manifest

    def is_of(self, attempt: int, asked: str) -> bool:
        return (self.attempt, self.asked) == (attempt, asked)


def read_pods(annotation: str) -> PodsOfAttempt | None:
    """None: an operator that did not keep them has made the Deployment, or somebody has edited it."""
    try:
        return PodsOfAttempt.model_validate_json(annotation)
    except ValidationError:
        return None
