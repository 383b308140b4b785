"""A recipe's `num_processes`: how many learner processes its batches were chosen for. A run has as many as its learners say."""

from collections.abc import Iterator
from typing import Any, Final

from grpo_cli.finding import Finding, note
from grpo_cli.from_recipe import Pods
from grpo_cli.plan import Plan

NUM_PROCESSES: Final = "num_processes"
GPUS_OF_A_NODE: Final = 8
"""More processes than this are spread over pods of as many."""


def written_for(processes: Any) -> Pods | None:
    """Learners of as many processes as a recipe names; None where it names none."""
    if not isinstance(processes, int) or isinstance(processes, bool) or processes < 1:
        return None
    nodes, rest = divmod(processes, GPUS_OF_A_NODE)
    return Pods(nodes, GPUS_OF_A_NODE) if nodes and not rest else Pods(1, processes)


def other_processes(plan: Plan) -> Iterator[Finding]:
    pods, batch = written_for(plan.spec.recipe.get(NUM_PROCESSES)), plan.batch
    if pods is None or pods.number == batch.processes:
        return
    then = batch.completions_per_step // batch.processes * pods.number
    yield note(
        "spec.learners",
        f"spec.learners are {batch.processes} processes, but the recipe was written for {pods.number} (num_processes), so that a "
        f"step learns from {batch.completions_per_step} completions instead of {then}; {pods.as_field} ({pods.as_option}) makes "
        "it what it was.",
    )
