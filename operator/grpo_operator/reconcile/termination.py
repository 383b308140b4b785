"""How a container ended: whether by a mistake in the run, and what it left in its termination file."""

from pydantic import ValidationError

from grpo_contract.failure import USER_ERROR_EXIT_CODE, Failure
from grpo_contract.progress import Progress
from grpo_operator.reconcile.observed import Ended, ObservedContainer, ObservedPod


def is_users_mistake(pod: ObservedPod, container: ObservedContainer, ended: Ended) -> bool:
    """By the exit code of the role's own container: in other containers of the pod it means whatever they like."""
    return container.name == pod.role.value and ended.exit_code == USER_ERROR_EXIT_CODE


def failure_in(ended: Ended) -> Failure | None:
    """None when the container did not get to write it, or another program wrote there."""
    try:
        return Failure.model_validate_json(ended.message)
    except ValidationError:
        return None


def follows(pod: ObservedPod) -> bool:
    """By its own word, from an end of another pod of the attempt."""
    ends = [container.ended for container in pod.containers if container.ended and container.name == pod.role.value]
    return any(failure.follows for ended in ends if (failure := failure_in(ended)))


def progress_in(ended: Ended) -> Progress | None:
    try:
        return Progress.model_validate_json(ended.message)
    except ValidationError:
        return None
