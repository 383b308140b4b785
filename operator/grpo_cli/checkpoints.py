"""Where an attempt after a failure goes on: checkpoints of the run, and those of the recipe's own save_* keys."""

import math
from collections.abc import Iterator

from grpo_cli.finding import Finding, note
from grpo_cli.plan import Plan


def no_recovery_checkpoint(plan: Plan) -> Iterator[Finding]:
    every, total = plan.spec.checkpoint.every_steps, plan.total_steps
    if total is None or every < total or plan.spec.max_restarts == 0 or recipe_may_save(plan, total):
        return
    yield note(
        "spec.checkpoint.everySteps",
        f"spec.checkpoint.everySteps is {every}, but the run has {total} steps, and an attempt after a failure begins "
        "anew; lower it.",
    )


def recipe_may_save(plan: Plan, total: int) -> bool:
    """Whether the recipe may have a checkpoint of a step before the last one. An evaluation saves what is the best so far."""
    strategy, every = plan.value("save_strategy"), plan.value("save_steps")
    if strategy == "best" or plan.value("load_best_model_at_end"):
        return True
    if strategy == "epoch":
        return plan.rows is None or plan.batch.steps_per_epoch(plan.rows) < total
    return strategy == "steps" and bool((math.ceil(every * total) if every < 1 else every) < total)
