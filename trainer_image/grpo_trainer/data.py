"""The training prompts: from the hub or the volume, in the layout that Open-R1 gives to its prompts.

A data set of the volume is one file (JSON Lines, JSON or Parquet) or a folder written by `datasets`' save_to_disk. What
is missing is named together with what is there. Every rank loads the same data by itself, without any collective.
"""

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final, TypeAlias

import datasets
from datasets.exceptions import DatasetGenerationError, DatasetNotFoundError
from datasets.packaged_modules.cache.cache import Cache
from pyarrow import ArrowInvalid

from grpo_contract.failure import DATASET_NOT_FOUND, INVALID_RECIPE, UserError
from grpo_contract.paths import is_path
from grpo_trainer.causes import OF_THE_PATH, first_line, is_of_the_system, modules_of
from grpo_trainer.preflight import FILE_FORMATS, check_dataset, column_not_found, dataset_permission
from grpo_trainer.recipe import OpenR1Arguments

PROMPT: Final = "prompt"
CONVERSATION: Final = "messages"

TrainingData: TypeAlias = datasets.Dataset | datasets.IterableDataset


def load_training_data(script: OpenR1Arguments, *, as_messages: bool) -> TrainingData:
    """Rows with a `prompt`, a list of messages when `as_messages`, and all other columns of the data set.

    Raises UserError when the data set, its configuration, its split or the prompt's column does not exist.
    """
    data = load_path(script) if is_path(script.dataset_name) else load_from_hub(script)
    if script.dataset_prompt_column not in columns_of(data):
        raise column_not_found(script.dataset_name, script.dataset_prompt_column, columns_of(data))
    return with_prompts(data, script, as_messages)


def declared_columns(script: OpenR1Arguments) -> list[str]:
    """Of a data set of the hub, before it is downloaded; none where its card does not tell, or where loading is quick.

    Raises:
        UserError: as load_training_data, as far as the card tells.
    """
    name = script.dataset_name
    if is_path(name) or script.dataset_streaming:
        return []
    with hub_answers(name):
        info = datasets.load_dataset_builder(name, name=script.dataset_config).info
    check_splits(script, list(info.splits or []))
    columns = list(info.features or [])
    if columns and script.dataset_prompt_column not in columns:
        raise column_not_found(name, script.dataset_prompt_column, columns)
    return columns


def check_splits(script: OpenR1Arguments, splits: list[str]) -> None:
    """Several, and parts of them, may be asked for: train[:10%]+test."""
    asked = [part.partition("[")[0].strip() for part in script.dataset_train_split.split("+")]
    for split in asked:
        if splits and split not in [*splits, str(datasets.Split.ALL)]:
            raise split_not_found(script.dataset_name, split, splits)


def load_path(script: OpenR1Arguments) -> TrainingData:
    name = script.dataset_name
    check_dataset(name, script.dataset_prompt_column)
    try:
        with dataset_permission(name):
            return pick_split(read_path(script), script)
    except (*OF_THE_PATH, DatasetGenerationError, ArrowInvalid) as error:
        if is_of_the_system(error):  # DatasetGenerationError is around whatever happened, a full volume as well
            raise
        raise UserError(
            DATASET_NOT_FOUND,
            f"spec.recipe.dataset_name: {name!r} cannot be read, {first_line(error.__cause__ or error)}; "
            f"give a .jsonl, .json or .parquet file or a folder written by save_to_disk.",
        ) from error


def read_path(script: OpenR1Arguments) -> dict[str, TrainingData]:
    """{split: its rows}"""
    path = Path(script.dataset_name)
    if path.is_dir():
        found = datasets.load_from_disk(path)
        return found if isinstance(found, datasets.DatasetDict) else {"train": found}
    reader = FILE_FORMATS[path.suffix]
    splits: dict[str, TrainingData] = datasets.load_dataset(
        reader, data_files=script.dataset_name, streaming=script.dataset_streaming
    )
    return splits


def pick_split(splits: dict[str, TrainingData], script: OpenR1Arguments) -> TrainingData:
    split = script.dataset_train_split
    if split not in splits:
        raise split_not_found(script.dataset_name, split, splits)
    return splits[split]


def split_not_found(name: str, split: str, splits: Iterable[str]) -> UserError:
    return UserError(
        DATASET_NOT_FOUND,
        f"spec.recipe.dataset_train_split: data set {name!r} has no split {split!r}; use one of {', '.join(splits)}.",
    )


def load_from_hub(script: OpenR1Arguments) -> TrainingData:
    name = script.dataset_name
    with hub_answers(name):
        return datasets.load_dataset(
            name,
            name=script.dataset_config,
            split=script.dataset_train_split,
            streaming=script.dataset_streaming,
        )


@contextlib.contextmanager
def hub_answers(name: str) -> Iterator[None]:
    """No answer from the hub is no mistake of the user's.

    Raises ConnectionError then: another attempt may do better.
    """
    try:
        yield
    except DatasetNotFoundError as error:
        raise UserError(
            DATASET_NOT_FOUND,
            f"spec.recipe.dataset_name: {name!r} is not on the hub, or this run may not read it; "
            f"correct the id, set HF_TOKEN in spec.learners.env, or give a path on the volume.",
        ) from error
    except ValueError as error:
        if Cache.__module__ in modules_of(error):
            raise ConnectionError(f"no answer from the hub, and in the cache: {first_line(error)}") from error
        if type(error) is not ValueError:  # what could not be decoded, and the like
            raise
        raise UserError(  # an unknown split or configuration; the message lists those there are
            DATASET_NOT_FOUND,
            f"spec.recipe.dataset_train_split or dataset_config: {name!r} cannot be loaded, {first_line(error)}.",
        ) from error


def columns_of(data: TrainingData) -> list[str]:
    return list(data.column_names or next(iter(data)))


def with_prompts(data: TrainingData, script: OpenR1Arguments, as_messages: bool) -> TrainingData:
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

    if isinstance(data, datasets.IterableDataset):
        return data.map(lay_out, batched=True, remove_columns=columns_of(data))
    return data.with_transform(lay_out)


def check_size(data: TrainingData, prompts_per_batch: int, name: str) -> None:
    """TRL drops an incomplete batch: with too few rows it would finish at once, having learnt nothing."""
    if isinstance(data, datasets.Dataset) and len(data) < prompts_per_batch:
        raise UserError(
            INVALID_RECIPE,
            f"spec.recipe.dataset_name: {name!r} has {len(data)} prompts, a generation batch needs {prompts_per_batch};"
            f" lower per_device_train_batch_size or gradient_accumulation_steps, or raise num_generations.",
        )
