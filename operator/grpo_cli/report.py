"""A report as text for people and as JSON for programs."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from fractions import Fraction
from typing import Any, Final

from grpo_cli.check import Report
from grpo_cli.evaluations import Evaluations, completions_of_training, evaluations_of
from grpo_cli.finding import Level
from grpo_cli.memory import Memory, in_words
from grpo_cli.plan import Plan
from grpo_contract.recipe import dataset_mixture
from grpo_contract.recipe.evaluation import evaluates

NOT_CHECKED: Final = (
    "whether the model, the data set and its columns exist and may be read",
    "what the images hold (packages, reward modules) and TRL's own checks of values",
    "nodes, GPUs, quotas, policies and storage classes of the cluster, and the benchmarks of the operator's chart",
)
WIDTH: Final = 34
"""Of the names of numbers."""

PLURAL: Final = {Level.ERROR: "errors", Level.WASTE: "waste", Level.NOTE: "notes"}


def as_text(report: Report) -> str:
    lines = [f"{finding.level.value:<6} {finding.sentence}" for finding in report.findings]
    if report.plan is not None:
        lines += ["", "Steps", *(_line(name, value) for name, value in _steps(report.plan))]
        if evaluates(report.plan.recipe):
            lines += ["", "Evaluation", *(_line(name, value) for name, value in _evaluation(report.plan))]
    if report.memory is not None:
        lines += ["", "Memory, estimated", *(_line(name, value) for name, value in _memory(report.memory))]
    return "\n".join([*lines, "", f"Not checked here: {'; '.join(NOT_CHECKED)}.", _counts(report)]).lstrip("\n") + "\n"


def as_json(report: Report) -> str:
    return json.dumps(_content(report), indent=2, ensure_ascii=False) + "\n"


def _content(report: Report) -> dict[str, Any]:
    return {
        "findings": [asdict(finding) for finding in report.findings],
        "steps": None if report.plan is None else _numbers(report.plan),
        "evaluation": None if report.plan is None or not evaluates(report.plan.recipe) else _evaluations(report.plan),
        "memory": None if report.memory is None else _bytes(report.memory),
        "notChecked": list(NOT_CHECKED),
    }


def _numbers(plan: Plan) -> dict[str, Any]:
    batch = plan.batch
    return {
        "completionsPerStep": batch.completions_per_step,
        "promptsPerStep": float(batch.prompts_per_step),
        "completionsPerGeneration": batch.completions_per_generation,
        "promptsPerGeneration": batch.prompts_per_generation,
        "stepsOnAGeneration": float(batch.steps_on_a_generation),
        "stepsPerEpoch": None if plan.rows is None else batch.steps_per_epoch(plan.rows),
        "steps": plan.total_steps,
    }


def _evaluations(plan: Plan) -> dict[str, Any]:
    planned = evaluations_of(plan)
    return {
        "rows": planned.rows,
        "completionsPerEvaluation": planned.completions_per_evaluation,
        "evaluations": planned.number,
        "completions": planned.completions,
        "completionsOfTraining": completions_of_training(plan),
    }


def _bytes(memory: Memory) -> dict[str, Any]:
    return {
        "learnerBytes": memory.learner_bytes,
        "generatorBytes": memory.generator_bytes,
        "completionTokens": memory.completion_tokens,
        "completionsPerGenerator": memory.completions_per_generator,
        "completionsThatFit": memory.completions_that_fit,
    }


def _steps(plan: Plan) -> Iterator[tuple[str, str]]:
    batch = plan.batch
    yield (
        "completions per optimizer step",
        f"{batch.completions_per_step} = {batch.processes} learner processes x {batch.per_device} per device x "
        f"{batch.accumulation} accumulated",
    )
    yield (
        "unique prompts per optimizer step",
        f"{_number(batch.prompts_per_step)} = {batch.completions_per_step} / {batch.num_generations} generations",
    )
    yield (
        "completions written at a time",
        f"{batch.completions_per_generation}, of {batch.prompts_per_generation} prompts",
    )
    yield "optimizer steps on these", _number(batch.steps_on_a_generation)
    yield "optimizer steps per epoch", "not known: give --rows" if plan.rows is None else _epoch(plan, plan.rows)
    yield "optimizer steps of the run", "not known" if plan.total_steps is None else str(plan.total_steps)


def _epoch(plan: Plan, rows: int) -> str:
    batch = plan.batch
    left_out = rows % batch.prompts_per_generation
    return f"{batch.steps_per_epoch(rows)} of {rows} rows" + (f", {left_out} of which are left out" if left_out else "")


def _evaluation(plan: Plan) -> Iterator[tuple[str, str]]:
    planned = evaluations_of(plan)
    yield "rows of an evaluation", _eval_rows(plan, planned)
    yield (
        "completions per evaluation",
        f"{planned.num_generations} of each row"
        if planned.counted_rows is None
        else f"{planned.completions_per_evaluation} = {planned.counted_rows} rows x {planned.num_generations} generations",
    )
    yield "evaluations of the run", _number_of(planned)
    if planned.completions is not None:
        yield "completions of these", f"{planned.completions}, and {completions_of_training(plan)} of training"


def _eval_rows(plan: Plan, planned: Evaluations) -> str:
    if planned.rows is None or planned.counted_rows is None:
        return f"not known: give {'--eval-rows' if plan.recipe.get(dataset_mixture.KEY) is None else '--rows'}"
    more = planned.counted_rows - planned.rows
    if more == 0:
        return str(planned.rows)
    rest = f"filled up with {more} that count again" if more > 0 else f"{-more} of which are left out"
    return f"{planned.rows}, {rest}"


def _number_of(planned: Evaluations) -> str:
    if planned.schedule is None:
        return "not known: give --rows"
    parts = {
        "before the first step": planned.schedule.at_start,
        "during training": planned.schedule.in_training,
        "of the trained model": planned.schedule.at_end,
    }
    return f"{planned.number} = " + " + ".join(f"{number} {when}" for when, number in parts.items() if number)


def _memory(memory: Memory) -> Iterator[tuple[str, str]]:
    parts = ", ".join(f"{name} {in_words(size)}" for name, size in memory.learner_bytes.items())
    yield "a learner's GPU", f"{in_words(memory.learner_total)}: {parts}"
    yield "a generator's GPU", ", ".join(f"{name} {in_words(size)}" for name, size in memory.generator_bytes.items())
    if memory.completion_tokens is not None:
        yield "tokens of the longest completion", f"{memory.completion_tokens}, its prompt included"
    fit = "" if memory.completions_that_fit is None else f"; {memory.completions_that_fit} of full length fit"
    yield "completions at once per generator", f"{memory.completions_per_generator}{fit}"
    if "activations" not in memory.learner_bytes:
        yield "not estimated", "activations, logits and KV cache: give --model-config"


def _number(value: Fraction) -> str:
    return str(value.numerator) if value.denominator == 1 else f"{float(value):.2f}"


def _line(name: str, value: str) -> str:
    return f"  {name:<{WIDTH}} {value}"


def _counts(report: Report) -> str:
    levels = [finding.level for finding in report.findings]
    return ", ".join(f"{PLURAL[level]}: {levels.count(level)}" for level in Level)
