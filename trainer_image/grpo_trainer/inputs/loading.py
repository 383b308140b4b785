"""All rows of a run, of as many data sets as its recipe names."""

from collections.abc import Mapping, Sequence

from grpo_trainer.inputs.data import (
    Data,
    Loaded,
    declared_columns,
    load_source,
    rows_of,
    with_prompts,
)
from grpo_trainer.recipe import Recipe
from grpo_trainer.rewards.registry import check_reward
from grpo_trainer.sources import Source, held_out_sources, sources_of


def load_data(recipe: Recipe, required: Mapping[str, Sequence[str]], *, as_messages: bool) -> Data:
    """Rows with a `prompt`, a list of messages when `as_messages`, and the columns that the rewards need; to train on and,
    where the recipe evaluates, to evaluate on.

    `required`: {reward function: its columns}. What data sets declare is looked at first, of all of them: a download may
    take hours.
    """
    script, split_keys = recipe.script, ["dataset_train_split"]
    sources = sources_of(vars(script))
    if recipe.evaluates is not None:
        sources += held_out_sources(vars(script))
        split_keys.append("dataset_test_split")
    for source in sources:
        check_rewards(required, source, declared_columns(source, script.dataset_prompt_column))
    parts = [load_checked(source, recipe, required) for source in sources]
    return Data(*(with_prompts(rows, script, as_messages) for rows in rows_of(parts, script, split_keys)))


def load_checked(source: Source, recipe: Recipe, required: Mapping[str, Sequence[str]]) -> Loaded:
    loaded = load_source(source, recipe.script.dataset_prompt_column)
    check_rewards(required, source, loaded.columns)
    return loaded


def check_rewards(required: Mapping[str, Sequence[str]], source: Source, columns: list[str] | None) -> None:
    for name, needed in required.items():
        check_reward(name, needed, columns, source)
