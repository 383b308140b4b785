"""What keeps a pod from getting ready, in one sentence with the remedy, as soon as the pod's status shows it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from grpo_contract.labels import Role
from grpo_operator.reconcile.observed import Ended, ObservedContainer, ObservedPod, Waiting
from grpo_operator.reconcile.reasons import POD_TROUBLES, Reason
from grpo_operator.reconcile.termination import failure_in, is_users_mistake

UNSCHEDULABLE_GRACE_S: Final = 15.0
"""Pods are unschedulable for a while when their volume is being bound, many are started at once, or others leave."""

SET_UP_S: Final = 120.0
"""Network volumes may take a minute to be attached and mounted."""

_UNBOUND: Final = "unbound immediate PersistentVolumeClaims"
"""The scheduler's words for a claim without a volume."""

_IMAGE_REASONS: Final = frozenset(
    {
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
        "ErrImageNeverPull",
        "ImageInspectError",
        "RegistryUnavailable",
    }
)
_CONFIG_REASONS: Final = frozenset(
    {
        "CreateContainerConfigError",
        "CreateContainerError",
        "RunContainerError",
        "PreCreateHookError",
        "PostStartHookError",
    }
)
CRASH_LOOP_REASON: Final = "CrashLoopBackOff"
OOM_REASON: Final = "OOMKilled"

_MEMORY_HINTS: Final = {
    Role.LEARNER: "start another run with a lower per_device_train_batch_size or max_completion_length, more learners, or "
    "reward functions that take less memory, which they share with training",
    Role.GENERATOR: "lower what generators.env gives vLLM for its cache, or start another run with a lower "
    "vllm_max_model_length",
}


_TAKES_EFFECT: Final = {
    Role.LEARNER: ", and delete the learners' Job, which is made again with it",
    Role.GENERATOR: "",  # their Deployment replaces them at once
}
"""What is left to do when a pod that does not start was corrected in the run: a Job's pods cannot change."""


@dataclass(frozen=True)
class Trouble:
    reason: Reason
    message: str


def first_trouble(pods: Sequence[ObservedPod], now: datetime) -> Trouble | None:
    """Of the first pod that has one; others mostly have the same. What passes by itself comes after what does not."""
    troubles = [trouble for pod in pods if (trouble := trouble_of(pod, now))]
    if any(pod.role is Role.GENERATOR and pod.gone_at and pod.gone_at > now for pod in pods):  # finishes what it writes
        troubles = [trouble for trouble in troubles if trouble.reason != Reason.UNSCHEDULABLE]
    first = min(troubles, key=lambda trouble: trouble.reason not in POD_TROUBLES, default=None)
    if first is None:
        return None
    same = sum(trouble.reason == first.reason for trouble in troubles)
    return first if same == 1 else Trouble(first.reason, f"{same} of {len(pods)} pods: {first.message}")


def trouble_of(pod: ObservedPod, now: datetime) -> Trouble | None:
    is_leaving = pod.role is Role.GENERATOR and pod.is_deleting  # whether it answers still or not
    if is_leaving and not pod.evicted:
        return Trouble(Reason.GENERATOR_REPLACED, f"Pod {pod.name} is being deleted, and another takes its place.")
    if pod.is_ready and not is_leaving:
        return None
    if pod.evicted:
        why = f"{pod.evicted.reason}: {pod.evicted.message}".rstrip(": ")
        return Trouble(Reason.DISRUPTED, f"Pod {pod.name} was taken away by the cluster ({why}).")
    if pod.unschedulable and _age_s(pod.unschedulable.since, now) >= UNSCHEDULABLE_GRACE_S:
        return Trouble(Reason.UNSCHEDULABLE, _unschedulable_message(pod, pod.unschedulable.message))
    if pod.being_set_up_since and _age_s(pod.being_set_up_since, now) >= SET_UP_S:
        return Trouble(Reason.POD_NOT_SET_UP, _not_set_up_message(pod))
    troubles = (_container_trouble(pod, container) for container in pod.containers)
    return next((trouble for trouble in troubles if trouble), None) or _lost_readiness(pod)


def seconds_until_settled(pods: Sequence[ObservedPod], now: datetime) -> float | None:
    """When a pod will have lacked a node, or what its node makes for it, for long enough to speak of it."""
    waits = [(pod.unschedulable.since, UNSCHEDULABLE_GRACE_S) for pod in pods if pod.unschedulable]
    waits += [(pod.being_set_up_since, SET_UP_S) for pod in pods if pod.being_set_up_since]
    rest = [patience_s - _age_s(since, now) for since, patience_s in waits]
    return min((seconds for seconds in rest if seconds > 0), default=None)


def out_of_memory(pod_name: str, container_name: str, role: Role) -> Trouble:
    return Trouble(
        Reason.OOM_KILLED,
        f"Container {container_name} of pod {pod_name} was killed because it ran out of memory: "
        f"raise {role.value}s.resources.limits.memory, or {_MEMORY_HINTS[role]}.",
    )


def _age_s(since: datetime, now: datetime) -> float:
    return (now - since).total_seconds()


def _unschedulable_message(pod: ObservedPod, scheduler_says: str) -> str:
    field = f"{pod.role.value}s"
    if _UNBOUND in scheduler_says:
        return f"Pod {pod.name} waits for the run's volume: see the condition StorageReady."
    return (
        f"Pod {pod.name} fits no node ({scheduler_says.rstrip('.')}): free or add nodes; or correct {field}.resources, "
        f"nodeSelector, tolerations or affinity{_TAKES_EFFECT[pod.role]}; or start another run with fewer "
        f"{field}.gpus or other storage."
    )


def _not_set_up_message(pod: ObservedPod) -> str:
    return (
        f"The node of pod {pod.name} has not mounted its volumes or not made its network for more than {SET_UP_S:.0f} s: "
        f"`kubectl describe pod {pod.name}` says why. Mostly it is a volume: another node holds it, its server does not "
        f"answer, or {pod.role.value}s.podTemplate names a Secret or ConfigMap that does not exist."
    )


def _lost_readiness(pod: ObservedPod) -> Trouble | None:
    if pod.role is not Role.GENERATOR or not pod.has_lost_readiness:
        return None
    message = (
        f"Pod {pod.name} runs and is not ready any more: an update of its weights failed, to which its readiness probe is "
        f"answered with 503 (see `kubectl describe pod {pod.name}`), or its server or its node does not answer in time. The "
        f"next update or answer mends it; if it lasts, see `kubectl logs {pod.name} -c {Role.GENERATOR.value}`."
    )
    return Trouble(Reason.GENERATOR_NOT_READY, message)


def _container_trouble(pod: ObservedPod, container: ObservedContainer) -> Trouble | None:
    ended = _end_that_matters(pod, container)
    if ended and ended.reason == OOM_REASON:
        return out_of_memory(pod.name, container.name, pod.role)
    if pod.role is Role.GENERATOR and ended and is_users_mistake(pod, container, ended):
        return Trouble(Reason.GENERATOR_MISCONFIGURED, _mistake_message(pod, ended))
    if container.waiting and (trouble := _waiting_trouble(pod, container, container.waiting, ended)):
        return trouble
    if container.name == Role.GENERATOR.value and ended:
        return Trouble(
            Reason.GENERATOR_ENDED,
            f"Pod {pod.name} ended ({_last_words(ended)}) and is started again: see `{_previous_log(pod, container)}`.",
        )
    return None


def _end_that_matters(pod: ObservedPod, container: ObservedContainer) -> Ended | None:
    """An end after which the pod was ready again does not keep it from being so."""
    is_got_over = pod.has_lost_readiness and container.name == pod.role.value
    return container.ended or (None if is_got_over else container.last_ended)


def _waiting_trouble(
    pod: ObservedPod, container: ObservedContainer, waiting: Waiting, ended: Ended | None
) -> Trouble | None:
    field = f"{pod.role.value}s"
    if waiting.reason in _IMAGE_REASONS:
        return Trouble(
            Reason.IMAGE_PULL_FAILED,
            f"Pod {pod.name} cannot get image {container.image!r} ({waiting.reason}: {waiting.message}): "
            f"give the nodes a way to the registry and a pull secret, or correct {field}.image"
            f"{_TAKES_EFFECT[pod.role]}.",
        )
    if waiting.reason in _CONFIG_REASONS:
        return Trouble(
            Reason.CONTAINER_CONFIG_ERROR,
            f"Container {container.name} of pod {pod.name} cannot be started ({waiting.reason}: {waiting.message}): "
            f"correct {field}.env or {field}.podTemplate{_TAKES_EFFECT[pod.role]}.",
        )
    if waiting.reason == CRASH_LOOP_REASON:
        return Trouble(Reason.CRASH_LOOP, _crash_message(pod, container, ended))
    return None


def _crash_message(pod: ObservedPod, container: ObservedContainer, ended: Ended | None) -> str:
    said = _last_words(ended) if ended else "no exit code"
    return (
        f"Container {container.name} of pod {pod.name} ended {container.restarts} times ({said}): "
        f"see `{_previous_log(pod, container)}`."
    )


def _previous_log(pod: ObservedPod, container: ObservedContainer) -> str:
    return f"kubectl logs --previous {pod.name} -c {container.name}"


def _mistake_message(pod: ObservedPod, ended: Ended) -> str:
    return (
        f"Generator pod {pod.name} cannot work as the run describes it now ({_last_words(ended)}): correct what was last "
        "changed of generators.env, image, resources or podTemplate, and it is replaced at once."
    )


def _last_words(ended: Ended) -> str:
    failure = failure_in(ended)
    return failure.message.rstrip(".") if failure else f"exit code {ended.exit_code}"
