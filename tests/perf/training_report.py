"""The figures of a training as they are stored and printed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, median
from typing import Any

from perf.learner_steps import Step
from perf.result import Figures

WARM_UP = 2
"""Steps that tell nothing of those to come, after the first one."""
LAST_STEPS = 5
"""Whose accuracy is the final one."""
PHASES = "phase_s"


def times_learning(ratio: str) -> float:
    """How often learning fits into generation: "1:4" is a quarter."""
    generation, learning = map(float, ratio.split(":"))
    return generation / learning


def steady(steps: Sequence[Step], max_staleness: int) -> Sequence[Step]:
    """Those that tell what each of many takes, of all but the first.

    Left out are, after WARM_UP, the ones for which generators began ahead of learning, and at the end those before which
    nothing was asked for any more. Where generation is the longer one, two batches that are under way together share the
    generators and a long step follows on a short one: what is left is a multiple of what recurs.
    """
    left = steps[WARM_UP + max_staleness : len(steps) - max_staleness]
    return left[len(left) % (max_staleness + 1) :]


def learn_s(steps: Sequence[Step]) -> float:
    """Seconds of learning, where nothing goes on beside it."""
    return mean(step.phases["learn"] for step in steps)


def limit_row(
    ranks: int, ratio: str, max_staleness: int, steps: Sequence[Step], generate_s: float, learn_s: float
) -> Figures:
    """`generate_s`: what the generators need for a batch; `learn_s`: what learning takes in the synchronous run."""
    step_s = _step_s(steps)
    return {
        "ranks": ranks,
        "ratio": ratio,
        "max_staleness": max_staleness,
        "step_s": round(step_s, 3),
        "generate_s": round(generate_s, 3),
        "learn_s": round(learn_s, 3),
        "efficiency": round(max(generate_s, learn_s) / step_s, 3),
        "overhead": round((step_s - generate_s - learn_s) / step_s, 3) if max_staleness == 0 else None,
        PHASES: _phases_s(steps),
    }


@dataclass(frozen=True)
class Training:
    steps: Sequence[Step]
    tokens: Sequence[float]
    """Of completions, on all ranks, in each of the steps."""
    accuracy: Sequence[float]

    @classmethod
    def of(cls, steps: Sequence[Step], history: Sequence[Mapping[str, Any]], completions: int) -> "Training":
        """`history`: TRL's log; `completions`: of a step."""
        logged = {entry["step"]: entry for entry in history if "reward" in entry}
        return cls(
            steps,
            [logged[step.number]["completions/mean_length"] * completions for step in steps],
            [logged[step.number]["rewards/accuracy/mean"] for step in steps],
        )

    @property
    def final_accuracy(self) -> float:
        return mean(self.accuracy[-LAST_STEPS:])

    @property
    def tokens_per_s(self) -> float:
        return sum(self.tokens) / sum(step.seconds for step in self.steps)

    def without_first(self, steps: int) -> "Training":
        return Training(self.steps[steps:], self.tokens[steps:], self.accuracy[steps:])


def real_rows(trainings: Mapping[str, Sequence[Training]]) -> list[Figures]:
    """`trainings` by mode, the first of which the others are compared with."""
    rows = [_real_row(mode, of_mode) for mode, of_mode in trainings.items()]
    return [row | {"times_as_fast": round(rows[0]["step_s"] / row["step_s"], 2)} for row in rows]


def _real_row(mode: str, trainings: Sequence[Training]) -> Figures:
    """Seconds and rates are medians of the trainings; the final accuracy is their mean."""
    return {
        "mode": mode,
        "runs": len(trainings),
        "step_s": round(median(_step_s(training.steps) for training in trainings), 3),
        "tokens_per_s": round(median(training.tokens_per_s for training in trainings)),
        "final_accuracy": round(mean(training.final_accuracy for training in trainings), 3),
        "of_each_seed": " ".join(f"{training.final_accuracy:.3f}" for training in trainings),
        PHASES: _phases_s([step for training in trainings for step in training.steps]),
    }


def _step_s(steps: Sequence[Step]) -> float:
    """The mean. Where generation goes ahead, a long step may be followed by a short one whose batch was ready: the middle one
    of such steps would be none, and could be shorter than the limit."""
    return mean(step.seconds for step in steps)


def _phases_s(steps: Sequence[Step]) -> Figures:
    """Their means."""
    phases = sorted({phase for step in steps for phase in step.phases})
    return {phase: round(mean(step.phases.get(phase, 0.0) for step in steps), 3) for phase in phases}


def table(rows: Sequence[Figures]) -> str:
    """A column for each field, and for each phase."""
    flat = [{name: value for name, value in row.items() if name != PHASES} | row.get(PHASES, {}) for row in rows]
    columns = list(dict.fromkeys(name for row in flat for name in row))
    lines = [columns, *([_shown(row.get(name)) for name in columns] for row in flat)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(columns))]
    return "\n".join("  ".join(text.rjust(width) for text, width in zip(line, widths, strict=True)) for line in lines)


def _shown(value: Any) -> str:
    return "" if value is None else str(value)
