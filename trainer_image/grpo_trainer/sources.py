"""The data sets that a recipe names, and how sentences about them call them. Needs neither torch nor `datasets`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from grpo_contract.failure import PodReason, UserError
from grpo_contract.recipe import dataset_mixture
from grpo_contract.recipe.dataset_mixture import MixedDataset, read_mixture

KEYS: Final = {"id": "dataset_name", "config": "dataset_config", "split": "dataset_train_split"}
"""{key of an entry of dataset_mixture: the recipe's key that says the same of the only data set}."""


@dataclass(frozen=True)
class Source:
    """One data set: the only one, or an entry of dataset_mixture."""

    name: str
    config: str | None = None
    split: str = "train"
    is_streamed: bool = False
    entry: int | None = None
    """Its place in dataset_mixture.datasets; None: it is the recipe's only one."""
    columns: tuple[str, ...] | None = None
    """Those that are kept; None: all."""
    is_held_out: bool = False
    """For evaluation; its split is that of dataset_test_split."""

    def key(self, of: str) -> str:
        """The recipe's key that says this of the source, in the words of an entry."""
        if self.is_held_out and of == "split":
            return "dataset_test_split"
        return KEYS[of] if self.entry is None else f"{self.path}.{of}"

    @property
    def path(self) -> str:
        return f"{dataset_mixture.KEY}.datasets[{self.entry}]"

    def __str__(self) -> str:
        place = f" (spec.recipe.{self.path})" if self.entry is not None else ""
        return f"data set {self.name!r}" + (f" (split {self.split!r}, for evaluation)" if self.is_held_out else place)


def sources_of(recipe: Mapping[str, Any]) -> list[Source]:
    """
    Raises:
        UserError: the recipe names no data set, or says it twice.
    """
    name, mixture = recipe.get("dataset_name"), read_mixture(recipe)
    if mixture is None:
        return [only_source(recipe)]
    if name:
        raise UserError(
            PodReason.INVALID_RECIPE,
            f"spec.recipe.dataset_name is {name!r} and spec.recipe.dataset_mixture is set, but either says what to "
            f"train on; keep one of them.",
        )
    return [source_of(entry, place) for place, entry in enumerate(mixture.datasets)]


def held_out_sources(recipe: Mapping[str, Any]) -> list[Source]:
    """What is evaluated on; empty: a mixture holds rows of its own out."""
    if recipe.get(dataset_mixture.KEY) is not None:
        return []
    return [replace(only_source(recipe), split=recipe.get("dataset_test_split") or "test", is_held_out=True)]


def only_source(recipe: Mapping[str, Any]) -> Source:
    if not recipe.get("dataset_name"):
        raise UserError(
            PodReason.INVALID_RECIPE,
            "spec.recipe.dataset_name: missing; set it to a path on the volume or the id of a data set on the hub, or "
            "list several in dataset_mixture.",
        )
    return Source(
        recipe["dataset_name"],
        config=recipe.get("dataset_config"),
        split=recipe.get("dataset_train_split") or "train",
        is_streamed=bool(recipe.get("dataset_streaming")),
    )


def source_of(entry: MixedDataset, place: int) -> Source:
    columns = None if entry.columns is None else tuple(entry.columns)
    return Source(entry.id, config=entry.config, split=entry.split, entry=place, columns=columns)


def check_columns(source: Source, prompt_column: str, columns: Sequence[str] | None) -> None:
    """`columns` are the data set's; None where nobody knows them yet.

    Raises:
        UserError: one that is asked for is not among them.
    """
    if source.columns is not None and prompt_column not in source.columns:
        raise column_not_kept(source, prompt_column, "which spec.recipe.dataset_prompt_column names")
    if columns is None:
        return
    for column in source.columns or ():
        if column not in columns:
            raise kept_column_not_found(source, column, columns)
    if prompt_column not in columns:
        raise prompts_not_found(source, prompt_column, columns)


def column_not_kept(source: Source, column: str, needed_by: str) -> UserError:
    return UserError(
        PodReason.COLUMN_NOT_FOUND,
        f"spec.recipe.{source.key('columns')}: it keeps {', '.join(source.columns or ())} of data set {source.name!r}, "
        f"but not {column!r}, {needed_by}; add it.",
    )


def kept_column_not_found(source: Source, column: str, columns: Sequence[str]) -> UserError:
    return UserError(
        PodReason.COLUMN_NOT_FOUND,
        f"spec.recipe.{source.key('columns')}: data set {source.name!r} has no column {column!r}; use some of "
        f"{', '.join(columns)}.",
    )


def prompts_not_found(source: Source, column: str, columns: Sequence[str]) -> UserError:
    there = ", ".join(columns)
    if source.entry is None:
        sentence = f"dataset_prompt_column: data set {source.name!r} has no column {column!r}; use one of {there}."
    else:
        sentence = (
            f"{source.key('id')}: data set {source.name!r} has no column {column!r}, which "
            f"spec.recipe.dataset_prompt_column names, but {there}; name one that every entry has, or drop the entry."
        )
    return UserError(PodReason.COLUMN_NOT_FOUND, f"spec.recipe.{sentence}")
