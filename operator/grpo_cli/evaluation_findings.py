"""What of a recipe's evaluations would be refused, costs more than it tells, or is without effect."""

from collections.abc import Iterator

from grpo_cli.evaluations import completions_of_training, ends_of_epochs, evaluations_of
from grpo_cli.finding import Finding, error, note, waste
from grpo_cli.plan import Plan
from grpo_contract.recipe import dataset_mixture
from grpo_contract.recipe.evaluation import MOST_STREAMED_ROWS, evaluates, too_few_rows, too_many_streamed_rows


def evaluation_findings(plan: Plan) -> list[Finding]:
    always = [*_steps_without_effect(plan), *_kept_out_for_nothing(plan)]
    return [*_rows(plan), *_more_than_training(plan), *_too_late(plan), *always]


def _rows(plan: Plan) -> Iterator[Finding]:
    if not evaluates(plan.recipe):
        return
    planned = evaluations_of(plan)
    if planned.rows is None or planned.counted_rows is None:
        return
    if planned.rows > MOST_STREAMED_ROWS and plan.batch.is_streamed:
        yield error("spec.recipe.dataset_test_split", too_many_streamed_rows(plan.value("dataset_test_split")))
    per_batch, more = planned.rows_per_batch, planned.counted_rows - planned.rows
    if planned.counted_rows == 0:
        yield error(
            "spec.recipe.dataset_test_split", too_few_rows(planned.rows, per_batch if planned.drops_last else 1)
        )
    elif more > 0:
        yield note(
            "spec.recipe.per_device_eval_batch_size",
            f"spec.recipe.per_device_eval_batch_size is {plan.value('per_device_eval_batch_size')}, so that an evaluation "
            f"batch has {per_batch} rows, and the last one of {planned.rows} rows is filled up with {more} that count again; "
            f"evaluate on a multiple of {per_batch} rows where that matters.",
        )
    elif more < 0:
        yield note(
            "spec.recipe.dataloader_drop_last",
            f"spec.recipe.dataloader_drop_last is true, so that {-more} of the {planned.rows} rows are left out of an "
            f"evaluation, for they fill no batch of {per_batch}; evaluate on a multiple of {per_batch} rows where that matters.",
        )


def _more_than_training(plan: Plan) -> Iterator[Finding]:
    key = evaluates(plan.recipe)
    if key is None:
        return
    evaluating, training = evaluations_of(plan).completions, completions_of_training(plan)
    if evaluating is not None and training is not None and evaluating > training:
        field = f"spec.recipe.{'eval_steps' if plan.value('eval_strategy') == 'steps' else key}"
        yield waste(
            field,
            f"{field}: the run's {evaluations_of(plan).number} evaluations write {evaluating} completions, more than the "
            f"{training} of its training; evaluate less often, on fewer rows or with a lower num_generations_eval.",
        )


def _too_late(plan: Plan) -> Iterator[Finding]:
    strategy, delay, total = plan.value("eval_strategy"), plan.value("eval_delay"), plan.total_steps
    if strategy == "no" or total is None or (strategy == "epoch" and plan.rows is None):
        return
    end: float = total if strategy == "steps" or plan.rows is None else ends_of_epochs(plan, total, plan.rows)[-1]
    if delay > end:
        yield note(
            "spec.recipe.eval_delay",
            f"spec.recipe.eval_delay is {delay:g}, but the run has {end:g} {strategy.rstrip('s')}s, and nothing is evaluated "
            "while it trains; lower it.",
        )


def _steps_without_effect(plan: Plan) -> Iterator[Finding]:
    strategy = plan.value("eval_strategy")
    if plan.sets("eval_steps") and strategy != "steps":
        yield note(
            "spec.recipe.eval_steps",
            f"spec.recipe.eval_steps is without effect: eval_strategy is {strategy}, and only with steps it counts.",
        )


def _kept_out_for_nothing(plan: Plan) -> Iterator[Finding]:
    size = (plan.value(dataset_mixture.KEY) or {}).get("test_split_size")
    if size is not None and not evaluates(plan.recipe) and plan.value("dataset_train_split") != "test":
        yield waste(
            f"spec.recipe.{dataset_mixture.KEY}.test_split_size",
            f"spec.recipe.{dataset_mixture.KEY}.test_split_size is {size:g}, but nothing is evaluated on the rows that it "
            "keeps out of training; set eval_strategy or do_eval, or leave it out.",
        )
