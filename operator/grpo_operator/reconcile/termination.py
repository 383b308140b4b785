"""What a container left in its termination file: why it failed, or how far the run got."""

from pydantic import ValidationError

from grpo_contract.failure import Failure
from grpo_contract.progress import Progress
from grpo_operator.reconcile.observed import Ended


def failure_in(ended: Ended) -> Failure | None:
    """None when the container did not get to write it, or another program wrote there."""
    try:
        return Failure.model_validate_json(ended.message)
    except ValidationError:
        return None


def progress_in(ended: Ended) -> Progress | None:
    try:
        return Progress.model_validate_json(ended.message)
    except ValidationError:
        return None
