"""Rules about what compares evaluations, in CEL. Data only.

Their sentences are those of grpo_contract.recipe.comparison, which a learner answers with.
"""

from collections.abc import Mapping
from typing import Any, Final

from grpo_contract.recipe.callbacks import EARLY_STOPPING
from grpo_contract.recipe.comparison import BEST, FOLLOWING_SCHEDULES, LOADS_BEST, METRIC, STOPPING_KEYS
from grpo_contract.recipe.defaults import LOGGING_STEPS
from grpo_operator.api.cel import Rule, present, value_of
from grpo_operator.api.data_rules import RECIPE, eval_strategy

_NO: Final = "'no'"
_STOPS: Final = f"({present('callbacks')} && '{EARLY_STOPPING}' in self.callbacks)"
_LOADS: Final = value_of(LOADS_BEST, "false")
_EVALUATED: Final = eval_strategy()
_SAVED: Final = value_of("save_strategy", f"({present('save_steps')} ? 'steps' : '{BEST}')")
_SAVES_BEST: Final = f"{value_of('save_strategy', _NO)} == '{BEST}'"
_SCHEDULE: Final = value_of("lr_scheduler_type", _NO)
_FOLLOWS: Final = f"{_SCHEDULE} in {list(FOLLOWING_SCHEDULES)}"
_COMPARES: Final = f"({_STOPS} || {_LOADS} || {_SAVES_BEST} || {_FOLLOWS})"
_COMPARED_BY: Final = (
    f"{{{_STOPS} ? 'callbacks holds {EARLY_STOPPING}' : {_LOADS} ? '{LOADS_BEST} is true' : "
    f"{_SAVES_BEST} ? 'save_strategy is {BEST}' : "
    + "".join(f"{_SCHEDULE} == '{name}' ? 'lr_scheduler_type is {name}' : " for name in FOLLOWING_SCHEDULES)
    + "''}"
)


def _without_callback(key: str) -> Rule:
    return Rule(
        RECIPE,
        f"!{present(key)} || {_STOPS}",
        f"spec.recipe.{key} is {{self.{key}}}, but spec.recipe.callbacks does not hold {EARLY_STOPPING}; add it there, or "
        f"leave {key} out.",
        f".{key}",
    )


COMPARISON_RULES: Final = (
    *(_without_callback(key) for key in STOPPING_KEYS),
    Rule(
        RECIPE,
        f"!{_COMPARES} || {_EVALUATED} != {_NO}",
        f"spec.recipe.{_COMPARED_BY}, which compares evaluations, but spec.recipe.eval_strategy is 'no'; set that to steps or "
        "epoch.",
        ".eval_strategy",
    ),
    Rule(
        RECIPE,
        f"!{_COMPARES} || {_EVALUATED} == {_NO} || {present(METRIC)}",
        f"spec.recipe.{_COMPARED_BY}, which compares evaluations, but spec.recipe.{METRIC} does not say by what; set it, as "
        "in reward.",
        f".{METRIC}",
    ),
    # As transformers asks it of TrainingArguments.
    Rule(
        RECIPE,
        f"!{_LOADS} || {_EVALUATED} == {_NO} || {_SAVED} in ['{BEST}', {_EVALUATED}]",
        f"spec.recipe.{LOADS_BEST} is true, but spec.recipe.save_strategy is '{{{_SAVED}}}' and spec.recipe.eval_strategy is "
        f"'{{{_EVALUATED}}}'; set save_strategy to {BEST} or to that.",
        ".save_strategy",
    ),
)


def saving_rule(trl_defaults: Mapping[str, Any]) -> Rule:
    """As transformers asks it of TrainingArguments, in whose words a learner answers. Steps below 1 are shares."""
    saved = value_of("save_steps", str(float(trl_defaults["save_steps"])))
    evaluated = value_of("eval_steps", value_of("logging_steps", str(float(LOGGING_STEPS))))
    is_multiple = f"{_in_millionths(saved)} % {_in_millionths(evaluated)} == 0"
    return Rule(
        RECIPE,
        f"!{_LOADS} || {_EVALUATED} != 'steps' || {_SAVED} != 'steps' || {evaluated} < 0.000001 || {is_multiple}",
        f"spec.recipe.save_steps is {{{saved}}}, which is no multiple of spec.recipe.eval_steps {{{evaluated}}}, but with "
        f"{LOADS_BEST} a checkpoint needs an evaluation; make it one, or set save_strategy to {BEST}.",
        ".save_steps",
    )


def _in_millionths(steps: str) -> str:
    """A whole number, for which alone CEL has a remainder."""
    return f"int({steps} * 1000000.0 + 0.5)"
