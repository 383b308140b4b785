"""How often a run evaluates, and how many completions that takes.

transformers 5.17: DefaultFlowCallback, TrainerState.compute_steps; TRL 1.16: _get_eval_sampler; accelerate: BatchSamplerShard.
"""

import math
from dataclasses import dataclass

from grpo_cli.plan import Plan
from grpo_contract.recipe.defaults import LOGGING_STEPS


@dataclass(frozen=True)
class Schedule:
    at_start: int
    """0 or 1: before the first step."""
    in_training: int
    at_end: int
    """0 or 1: of the trained model, where the last step had none."""


@dataclass(frozen=True)
class Evaluations:
    rows: int | None
    """Of the split; None: nobody has counted them."""
    completions_per_batch: int
    num_generations: int
    """Completions of a row."""
    drops_last: bool
    """A batch that is not whole is left out, and else filled up."""
    schedule: Schedule | None
    """None: it depends on steps that nobody knows."""

    @property
    def rows_per_batch(self) -> int:
        return self.completions_per_batch // self.num_generations

    @property
    def counted_rows(self) -> int | None:
        """Without those that are left out, or with those that fill up the last batch again."""
        if self.rows is None:
            return None
        whole, more = divmod(self.rows, self.rows_per_batch)
        return (whole + int(more > 0 and not self.drops_last)) * self.rows_per_batch

    @property
    def completions_per_evaluation(self) -> int | None:
        return None if self.counted_rows is None else self.counted_rows * self.num_generations

    @property
    def number(self) -> int | None:
        schedule = self.schedule
        return None if schedule is None else schedule.at_start + schedule.in_training + schedule.at_end

    @property
    def completions(self) -> int | None:
        """Of all evaluations."""
        if self.number is None or self.completions_per_evaluation is None:
            return None
        return self.number * self.completions_per_evaluation


def evaluations_of(plan: Plan) -> Evaluations:
    """Of a recipe that evaluates. The CRD's rules have seen that groups fit into a batch."""
    return Evaluations(
        rows=plan.eval_rows,
        completions_per_batch=plan.batch.processes * plan.value("per_device_eval_batch_size"),
        num_generations=plan.value("num_generations_eval") or plan.batch.num_generations,
        drops_last=bool(plan.value("dataloader_drop_last")),
        schedule=_schedule(plan),
    )


def completions_of_training(plan: Plan) -> int | None:
    return None if plan.total_steps is None else plan.batch.completions_of(plan.total_steps, plan.rows)


def _schedule(plan: Plan) -> Schedule | None:
    at_start = int(bool(plan.value("eval_on_start")))
    if plan.value("eval_strategy") == "no":
        return Schedule(at_start, 0, int(bool(plan.value("do_eval"))))
    of_training = _at_steps(plan) if plan.value("eval_strategy") == "steps" else _at_epochs(plan)
    if of_training is None:
        return None
    in_training, has_last = of_training
    return Schedule(at_start, in_training, int(not has_last))


def _at_steps(plan: Plan) -> tuple[int, bool] | None:
    """Evaluations while the run trains, and whether its last step has one. A step that is the last is evaluated anyway."""
    total, every = plan.total_steps, eval_steps(plan)
    if total is None or every is None:
        return None
    first = max(1, math.ceil(plan.value("eval_delay")))
    if first > total:
        return 0, False
    return total // every - (first - 1) // every + int(total % every > 0), True


def eval_steps(plan: Plan) -> int | None:
    """Steps between evaluations; None where that depends on steps that nobody knows, or transformers refuses it."""
    said = plan.value("eval_steps") or plan.recipe.get("logging_steps", LOGGING_STEPS)
    if said >= 1:
        return int(said) if said == int(said) else None
    return None if plan.total_steps is None or said <= 0 else math.ceil(plan.total_steps * said)


def _at_epochs(plan: Plan) -> tuple[int, bool] | None:
    """As _at_steps. An epoch that the last step ends early is evaluated as a whole one."""
    if plan.total_steps is None or plan.rows is None:
        return None
    delay, ends = plan.value("eval_delay"), ends_of_epochs(plan, plan.total_steps, plan.rows)
    return sum(delay <= end for end in ends), delay <= ends[-1]


def ends_of_epochs(plan: Plan, total_steps: int, rows: int) -> list[float]:
    """What transformers calls the epoch when the rows have been gone through, and at the last step: [1, 2, 2.5]. Of a stream,
    whose end it does not know, it takes all steps for one epoch: with 4 of 10 steps on each reading, [0.4, 1.4, 2.2]."""
    batch = plan.batch
    steps = batch.steps_per_epoch(rows)
    whole, more = divmod(total_steps, steps)
    if batch.is_streamed:
        return [epoch + min(steps, total_steps - epoch * steps) / total_steps for epoch in range(whole + (more > 0))]
    return [*range(1, whole + 1), *([whole + more * batch.accumulation / batch.passes_per_epoch(rows)] if more else [])]
