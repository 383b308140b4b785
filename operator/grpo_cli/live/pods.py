"""Which of a run's pods one asks about."""

from collections.abc import Iterable, Mapping
from typing import Any

from grpo_contract.labels import ATTEMPT_LABEL, JOB_INDEX_LABEL, ROLE_LABEL, Role

Manifest = Mapping[str, Any]


def attempt_of(run: Manifest) -> int:
    attempt: int = run.get("status", {}).get("attempt", 1)
    return attempt


def of_attempt(pods: Iterable[Manifest], attempt: int) -> list[Manifest]:
    """Its learners, before all others. Learners of earlier attempts are over."""

    def is_over(labels: Mapping[str, str]) -> bool:
        return labels[ROLE_LABEL] == Role.LEARNER and labels.get(ATTEMPT_LABEL) != str(attempt)

    return sorted(
        (pod for pod in pods if not is_over(pod["metadata"]["labels"])),
        key=lambda pod: (role_of(pod) != Role.LEARNER, str(pod["metadata"]["name"])),
    )


def role_of(pod: Manifest) -> str:
    return str(pod["metadata"]["labels"][ROLE_LABEL])


def learner_0(run: Manifest, pods: Iterable[Manifest]) -> Manifest | None:
    """Of the current attempt."""
    return next((pod for pod in of_attempt(pods, attempt_of(run)) if _is_first_learner(pod)), None)


def _is_first_learner(pod: Manifest) -> bool:
    return role_of(pod) == Role.LEARNER and pod["metadata"]["labels"].get(JOB_INDEX_LABEL) == "0"
