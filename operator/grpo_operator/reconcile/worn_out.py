"""Generators that keep ending: the kubelet waits longer and longer before it starts one again, up to five minutes.

That is right for one that cannot start, and wrong for one that has worked: learners would wait for it, or make do with fewer.
A new pod starts at once, if there is room for it. It has to have worked, and ended as often, before it is replaced in turn.
"""

from typing import Final

from grpo_contract.progress import Progress
from grpo_operator.reconcile.observed import ObservedPod
from grpo_operator.reconcile.pod_trouble import CRASH_LOOP_REASON
from grpo_operator.reconcile.world import Children

BORNE_RESTARTS: Final = 3
"""The pause before the next start is 40 s then. Up to that the place on its node, and its GPU, are worth more."""


def worn_out_generators(children: Children, progress: Progress | None) -> tuple[ObservedPod, ...]:
    """Those that wait to be started again and have written completions in this attempt."""
    told = progress.generators if progress else ()
    have_worked = {generator.name for generator in told if generator.completions > 0}
    return tuple(pod for pod in children.generators if pod.name in have_worked and _is_held_back(pod))


def _is_held_back(pod: ObservedPod) -> bool:
    own = next((container for container in pod.containers if container.name == pod.role.value), None)
    if own is None or own.waiting is None or own.restarts < BORNE_RESTARTS:
        return False
    return own.waiting.reason == CRASH_LOOP_REASON
