"""The training prompts: from the hub or the volume, in the layout that Open-R1 gives to its prompts.

A data set of the volume is one file (JSON Lines, JSON or Parquet) or a folder written by `datasets`' save_to_disk. What
is missing is named together with what is there. Every rank loads the same data by itself, without any collective.
"""

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

import datasets
from datasets.exceptions import DatasetGenerationError, DatasetNotFoundError
from datasets.packaged_modules.cache.cache import Cache
from huggingface_hub.errors import HFValidationError
from pyarrow import ArrowInvalid

from grpo_contract.failure import QUOTED_CHARACTERS, PodReason, UserError
from grpo_contract.paths import FILE_FORMATS, is_path
from grpo_contract.recipe.dataset_mixture import read_mixture
from grpo_contract.recipe.prompts import too_few_prompts
from grpo_trainer.causes import OF_THE_PATH, first_line, is_of_the_system, modules_of
from grpo_trainer.inputs.hub_silence import is_data_cached, without_silent_hub
from grpo_trainer.inputs.mixture import mix
from grpo_trainer.inputs.streams import read_whole
from grpo_trainer.inputs.unreachable_hub import unreachable, unreachable_hub_named
from grpo_trainer.preflight import check_dataset, dataset_permission
from grpo_trainer.recipe import OpenR1Arguments
from grpo_trainer.sources import Source, check_columns

PROMPT: Final = "prompt"
CONVERSATION: Final = "messages"

SCRIPTS_REFUSED: Final = "datasets.load"
"""What raises a RuntimeError where a repository holds a program instead of rows."""

NO_ROWS: Final = "corresponds to no data"
"""Of the ValueError of `datasets` where a split that is not streamed is empty."""

TrainingData: TypeAlias = datasets.Dataset | datasets.IterableDataset


class Loaded(NamedTuple):
    rows: TrainingData
    columns: list[str]
    """A stream may know them from its first row alone, which is fetched for that once."""


class Data(NamedTuple):
    """Rows with a `prompt`, laid out when they are read."""

    training: TrainingData
    evaluation: TrainingData | None = None


def load_source(source: Source, prompt_column: str) -> Loaded:
    """Its rows, with all their columns.

    Raises UserError when the data set, its configuration, its split or a column that is asked for does not exist, or there
    are no rows.
    """
    loaded = load_path(source, prompt_column) if is_path(source.name) else load_from_hub(source)
    if not loaded.columns:
        raise no_rows(source)
    check_columns(source, prompt_column, loaded.columns)
    return loaded


def declared_columns(source: Source, prompt_column: str) -> list[str] | None:
    """Of a data set of the hub, before it is downloaded; None where its card does not tell, or where loading is quick.

    Raises:
        UserError: as load_source, as far as the card tells.
    """
    if is_path(source.name) or source.is_streamed:
        return None
    with hub_refusal_named(source):
        info = datasets.load_dataset_builder(source.name, name=source.config).info
    check_splits(source, list(info.splits or []))
    columns = list(info.features or []) or None
    check_columns(source, prompt_column, columns)
    return columns


def check_splits(source: Source, splits: list[str]) -> None:
    """Several, and parts of them, may be asked for: train[:10%]+test."""
    asked = [part.partition("[")[0].strip() for part in source.split.split("+")]
    for split in asked:
        if splits and split not in [*splits, str(datasets.Split.ALL)]:
            raise split_not_found(source, split, splits)


def no_rows(source: Source) -> UserError:
    return UserError(
        PodReason.DATASET_NOT_FOUND,
        f"spec.recipe.{source.key('id')}: {source.name!r} has no rows in split {source.split!r}; give a data set with a row for "
        "each prompt.",
    )


@contextlib.contextmanager
def emptiness_named(source: Source) -> Iterator[None]:
    """
    Raises:
        UserError: there are no rows.
    """
    try:
        yield
    except ValueError as error:
        if NO_ROWS not in str(error):
            raise
        raise no_rows(source) from error


def load_path(source: Source, prompt_column: str) -> Loaded:
    check_dataset(source, prompt_column)
    try:
        with dataset_permission(source), emptiness_named(source):
            return loaded_rows(pick_split(read_path(source), source), source)
    except (*OF_THE_PATH, DatasetGenerationError, ArrowInvalid) as error:
        if is_of_the_system(error):  # DatasetGenerationError is around whatever happened, a full volume as well
            raise
        raise UserError(
            PodReason.DATASET_NOT_FOUND,
            f"spec.recipe.{source.key('id')}: {source.name!r} cannot be read, {first_line(error.__cause__ or error)}; "
            f"give a .jsonl, .json or .parquet file or a folder written by save_to_disk.",
        ) from error


def read_path(source: Source) -> dict[str, TrainingData]:
    """{split: its rows}"""
    path = Path(source.name)
    if path.is_dir():
        found = datasets.load_from_disk(path)
        return found if isinstance(found, datasets.DatasetDict) else {"train": found}
    reader = FILE_FORMATS[path.suffix]
    splits: dict[str, TrainingData] = datasets.load_dataset(
        reader, data_files=source.name, streaming=source.is_streamed
    )
    return splits


def pick_split(splits: dict[str, TrainingData], source: Source) -> TrainingData:
    if source.split not in splits:
        raise split_not_found(source, source.split, splits)
    return splits[source.split]


def split_not_found(source: Source, split: str, splits: Iterable[str]) -> UserError:
    return UserError(
        PodReason.DATASET_NOT_FOUND,
        f"spec.recipe.{source.key('split')}: data set {source.name!r} has no split {split!r}; use one of "
        f"{', '.join(splits)}.",
    )


def load_from_hub(source: Source) -> Loaded:
    with hub_refusal_named(source), emptiness_named(source):
        rows = datasets.load_dataset(source.name, name=source.config, split=source.split, streaming=source.is_streamed)
        return loaded_rows(rows, source)


@contextlib.contextmanager
def hub_refusal_named(source: Source) -> Iterator[None]:
    """
    Raises:
        UserError: the data set, its configuration or its split is not there, or it has no rows that can be loaded.
        RunFailure: the hub gives no answer, and another attempt may get one.
    """
    try:
        with (
            unreachable_hub_named(source.key("id"), source.name),
            without_silent_hub(lambda: is_data_cached(source)),
        ):
            yield
    except DatasetNotFoundError as error:
        raise UserError(
            PodReason.DATASET_NOT_FOUND,
            f"spec.recipe.{source.key('id')}: {source.name!r} is not on the hub, or this run may not read it; "
            f"correct the id, set HF_TOKEN in spec.learners.env, or give a path on the volume.",
        ) from error
    except FileNotFoundError as error:
        if error.errno is not None:  # the system's own: of the cache on the volume, not of the repository
            raise
        raise not_loadable(source, error) from error
    except RuntimeError as error:
        if modules_of(error)[-1] != SCRIPTS_REFUSED:
            raise
        raise not_loadable(source, error) from error
    except HFValidationError as error:
        raise not_loadable(source, error) from error
    except ValueError as error:
        if Cache.__module__ in modules_of(error):
            raise unreachable(source.key("id"), source.name, error) from error
        if type(error) is not ValueError:  # what could not be decoded, and the like
            raise
        raise UserError(  # an unknown split or configuration; the message lists those there are
            PodReason.DATASET_NOT_FOUND,
            f"spec.recipe.{source.key('split')} or {source.key('config').rpartition('.')[2]}: {source.name!r} cannot be "
            f"loaded, {first_line(error)}.",
        ) from error


def not_loadable(source: Source, error: Exception) -> UserError:
    return UserError(
        PodReason.DATASET_NOT_FOUND,
        f"spec.recipe.{source.key('id')}: {source.name!r} cannot be loaded, {first_line(error)[:QUOTED_CHARACTERS]}; "
        f"name a data set of JSON Lines, JSON or Parquet files.",
    )


def rows_of(parts: Sequence[Loaded], script: OpenR1Arguments, split_keys: Sequence[str]) -> list[Loaded]:
    """What is trained on and, with a second key, what is evaluated on; `parts` are the recipe's sources, in order.

    `split_keys` are the recipe's keys that name a mixture's splits.
    """
    mixture = read_mixture(vars(script))
    if mixture is None:
        return list(parts)
    splits = mix([part.rows for part in parts], mixture)
    return [pick_mixed(splits, key, getattr(script, key)) for key in split_keys]


def pick_mixed(splits: Mapping[str, TrainingData], key: str, split: str) -> Loaded:
    if split not in splits:
        raise UserError(
            PodReason.INVALID_RECIPE,
            f"spec.recipe.{key}: a mixture has no split {split!r}; use one of {', '.join(splits)}.",
        )
    return with_columns(splits[split])


def loaded_rows(rows: TrainingData, source: Source) -> Loaded:
    if source.is_held_out and isinstance(rows, datasets.IterableDataset):
        return with_columns(read_whole(rows, source.split))
    return with_columns(rows)


def with_columns(rows: TrainingData) -> Loaded:
    return Loaded(rows, columns_of(rows))


def columns_of(data: TrainingData) -> list[str]:
    """None of rows that are none: a stream knows its columns by its first row."""
    return list(data.column_names or next(iter(data), {}))


def with_prompts(data: Loaded, script: OpenR1Arguments, as_messages: bool) -> TrainingData:
    """Open-R1's layout: an optional system message, then the column as the user's message.

    A column that holds messages already keeps them. Without a chat template there are no messages: the text is the
    prompt. Rows are laid out when they are read: nothing is written, and a large data set is not gone through first.
    """
    system = [{"role": "system", "content": script.system_prompt}] if script.system_prompt is not None else []

    def prompt_of(content: Any) -> Any:
        if not as_messages:
            return content
        return system + (content if isinstance(content, list) else [{"role": "user", "content": content}])

    def lay_out(rows: dict[str, list[Any]]) -> dict[str, list[Any]]:
        prompts = [prompt_of(content) for content in rows[script.dataset_prompt_column]]
        # As Open-R1 does: TRL would take a column of that name for the conversation.
        others = {name: values for name, values in rows.items() if name != CONVERSATION}
        return others | {PROMPT: prompts}

    if isinstance(data.rows, datasets.IterableDataset):
        return data.rows.map(lay_out, batched=True, remove_columns=data.columns)
    return data.rows.with_transform(lay_out)


def check_size(data: TrainingData, prompts_per_batch: int, script: OpenR1Arguments) -> None:
    """TRL drops an incomplete batch: with too few rows it would finish at once, having learnt nothing. Of a stream, so many
    rows are fetched for that.

    Raises:
        UserError: there are too few.
    """
    if (found := num_rows(data, prompts_per_batch)) < prompts_per_batch:
        _, sentence = too_few_prompts(vars(script), found, prompts_per_batch)
        raise UserError(PodReason.INVALID_RECIPE, sentence)


def num_rows(data: TrainingData, at_most: int) -> int:
    if isinstance(data, datasets.IterableDataset):
        return sum(1 for _ in data.take(at_most))
    return min(len(data), at_most)
