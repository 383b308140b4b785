"""From the names in a recipe's `reward_funcs` to functions."""

import difflib
import importlib
import importlib.util
import inspect
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any, Final

from grpo_contract.failure import PodReason, UserError
from grpo_contract.rewards import (
    CODE_REWARDS,
    NO_CODE_REWARDS,
    NO_REWARD_URL,
    REWARD_IMPORT,
    REWARD_URL,
    is_url,
    without_secret,
)
from grpo_trainer.causes import description, is_of_the_system
from grpo_trainer.rewards.arguments import RewardArguments
from grpo_trainer.rewards.module_source import file_of, may_hold
from grpo_trainer.rewards.score import Score
from grpo_trainer.sources import Source, column_not_kept

RewardFunction = Callable[..., Sequence[Score]]

BUILT_IN: Final = {
    "accuracy": "grpo_trainer.rewards.accuracy:accuracy_reward",
    "format": "grpo_trainer.rewards.format:format_reward",
    "tag_count": "grpo_trainer.rewards.tag_count:tag_count_reward",
    "reasoning_steps": "grpo_trainer.rewards.reasoning_steps:reasoning_steps_reward",
    "cosine": "grpo_trainer.rewards.cosine:cosine_reward_for",
    "repetition_penalty": "grpo_trainer.rewards.repetition_penalty:repetition_penalty_reward_for",
    "length": "grpo_trainer.rewards.length:length_reward",
    "code_format": "grpo_trainer.rewards.code_format:code_format_reward_for",
    "soft_overlong_punishment": "grpo_trainer.rewards.soft_overlong_punishment:soft_overlong_punishment_for",
    "language_consistency": "grpo_trainer.rewards.language_consistency:language_consistency_reward_for",
}

MADE_FOR_ARGUMENTS: Final = frozenset(
    {"cosine", "repetition_penalty", "code_format", "soft_overlong_punishment", "language_consistency"}
)
"""Built-in ones with parameters: (RewardArguments) -> the reward function."""

# What TRL hands to every reward function; the rest of its parameters are columns of the data set.
FROM_TRL: Final = frozenset({"prompts", "completions", "completion_ids", "trainer_state", "log_extra", "log_metric"})

NOT_GIVEN: Final = {"prompt": "prompts", "messages": "prompts", "completion": "completions"}
"""{column that TRL, or Open-R1's layout of the rows, keeps from functions: the parameter that functions have instead}."""


def check_names(names: Iterable[str], code: Sequence[Path] = ()) -> None:
    """Refuse what cannot be a reward function, without importing it. `code`: folders of modules that the run brings along."""
    for name in names:
        if name in BUILT_IN:
            continue
        if name in CODE_REWARDS:
            raise not_found(name, NO_CODE_REWARDS)
        if is_url(name):
            check_url(name)
            continue
        if not re.match(REWARD_IMPORT, name):
            raise not_found(name, f"is no reward function; {remedy(name)}")
        package = name.partition(":")[0].partition(".")[0]
        if not is_there(package, code):
            raise not_importable(name, f"there is no package {package!r}")
        check_source(name, code)


def check_url(name: str) -> None:
    if not re.match(REWARD_URL, name):
        raise not_found(name, NO_REWARD_URL)


def is_there(package: str, code: Sequence[Path]) -> bool:
    folders = list(map(str, code))
    return importlib.util.find_spec(package) is not None or PathFinder.find_spec(package, folders) is not None


def check_source(name: str, code: Sequence[Path]) -> None:
    """What cannot be read here is left to the import."""
    module, _, attribute = name.partition(":")
    file = file_of(module, code)
    try:
        is_missing = file is not None and not may_hold(attribute, file)
    except (SyntaxError, ValueError) as error:
        raise broken(name, error) from error
    except OSError:
        return
    if is_missing:
        raise no_callable(name, module, attribute)


def load(name: str, arguments: RewardArguments) -> RewardFunction:
    """`arguments` are the recipe's, for the built-in ones that take parameters."""
    found = callable_named(name)
    return found(arguments) if name in MADE_FOR_ARGUMENTS else found


def callable_named(name: str) -> Callable[..., Any]:
    module_name, _, attribute = BUILT_IN.get(name, name).partition(":")
    found = imported(name, module_name, attribute)
    if not callable(found):
        raise no_callable(name, module_name, attribute)
    if is_model(found):
        raise not_found(name, "is a model; wrap it in a function of your own that scores completions with it")
    if not has_signature(found):
        remedy = "wrap it in a function of your own that takes completions and **kwargs"
        raise not_found(name, f"is no function whose parameters can be read; {remedy}")
    return found  # type: ignore[no-any-return]


def imported(name: str, module: str, attribute: str) -> Any:
    """What the module holds under that name, or None."""
    try:
        return getattr(importlib.import_module(module), attribute, None)
    except ImportError as error:
        if is_of_the_system(error):
            raise
        raise not_importable(name, str(error)) from error
    except (Exception, SystemExit) as error:  # a module may raise anything while it is imported
        if is_of_the_system(error):
            raise
        raise broken(name, error) from error


def is_model(found: Any) -> bool:
    """One of torch's. Without torch, which nothing here imports, there is none."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(found, torch.nn.Module)


def has_signature(found: Callable[..., Any]) -> bool:
    """Some callables that are written in C have none."""
    try:
        inspect.signature(found)
    except (ValueError, TypeError):
        return False
    return True


def remedy(name: str) -> str:
    nearest = difflib.get_close_matches(name, BUILT_IN, n=1)
    choice = f"did you mean {nearest[0]!r}? There are" if nearest else "use one of"
    return f"{choice} {', '.join(BUILT_IN)}, 'package.module:function', or a URL"


def not_importable(name: str, why: str) -> UserError:
    where = "give its code in spec.rewards.from, or install it in the learners' image"
    return not_found(name, f"cannot be imported ({why}); {where}")


def no_callable(name: str, module: str, attribute: str) -> UserError:
    problem = f"names no function, {module} has no callable {attribute!r}"
    return not_found(name, f"{problem}; correct the name after the colon")


def broken(name: str, error: BaseException) -> UserError:
    return not_found(name, f"cannot be imported, {description(error)}; correct the module")


def not_found(name: str, problem: str) -> UserError:
    return UserError(PodReason.REWARD_NOT_FOUND, f"spec.recipe.reward_funcs: {without_secret(name)!r} {problem}.")


def check_reward(name: str, required: Iterable[str], columns: Iterable[str] | None, source: Source) -> None:
    """A reward function's required parameters must be columns of each data set, of those that functions are given: better
    said before the first step.

    `columns` are the data set's; None where nobody knows them yet.
    """
    present = None if columns is None else [column for column in columns if column not in NOT_GIVEN]
    for parameter in required:
        if parameter in NOT_GIVEN:
            raise never_given(name, parameter)
        if present is not None and parameter not in present:
            raise UserError(
                PodReason.COLUMN_NOT_FOUND,
                f"spec.recipe.reward_funcs: {name!r} needs a column {parameter!r}, {source} has "
                f"{', '.join(present)}; add the column to the data set or choose another reward.",
            )
        if source.columns is not None and parameter not in source.columns:
            raise column_not_kept(source, parameter, f"which {name!r} of spec.recipe.reward_funcs needs")


def never_given(name: str, parameter: str) -> UserError:
    return UserError(
        PodReason.COLUMN_NOT_FOUND,
        f"spec.recipe.reward_funcs: {name!r} needs a column {parameter!r}, but reward functions are not given a column of "
        f"that name; let it take {NOT_GIVEN[parameter]!r}, or rename the column.",
    )


def required_columns(function: RewardFunction) -> list[str]:
    def is_required(parameter: inspect.Parameter) -> bool:
        named = parameter.kind in (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
        return named and parameter.default is inspect.Parameter.empty and parameter.name not in FROM_TRL

    parameters: Iterable[Any] = inspect.signature(function).parameters.values()
    return [parameter.name for parameter in parameters if is_required(parameter)]
