"""Where prompts come from, their layout, and what is said when something is missing."""

import json
from pathlib import Path
from typing import Any

import datasets
import pytest

from grpo_contract.failure import UserError
from grpo_trainer.inputs.data import check_size, columns_of, declared_columns, load_source
from grpo_trainer.inputs.loading import load_data
from grpo_trainer.recipe import OpenR1Arguments, Recipe
from grpo_trainer.sources import Source
from trainer.learner_inputs import write_rows

ROWS = [{"problem": "1 + 1?", "solution": "$2$"}, {"problem": "2 + 2?", "solution": "$4$"}]


def jsonl(folder: Path) -> str:
    return str(write_rows(folder / "train.jsonl", ROWS))


def json_array(folder: Path) -> str:
    (folder / "train.json").write_text(json.dumps(ROWS))
    return str(folder / "train.json")


def parquet(folder: Path) -> str:
    datasets.Dataset.from_list(ROWS).to_parquet(folder / "train.parquet")
    return str(folder / "train.parquet")


def saved_dataset(folder: Path) -> str:
    datasets.Dataset.from_list(ROWS).save_to_disk(folder / "saved")
    return str(folder / "saved")


def saved_splits(folder: Path) -> str:
    rows = datasets.Dataset.from_list(ROWS)
    datasets.DatasetDict({"train": rows, "test": rows.select([1])}).save_to_disk(folder / "splits")
    return str(folder / "splits")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def load(name: str, as_messages: bool = True, **keys: Any) -> list[dict[str, Any]]:
    script = OpenR1Arguments(dataset_name=name, **({"dataset_prompt_column": "problem"} | keys))
    return list(load_data(Recipe(None, None, script), {}, as_messages=as_messages).training)


@pytest.mark.parametrize("write", [jsonl, json_array, parquet, saved_dataset, saved_splits])
@pytest.mark.parametrize("streaming", [False, True])
def test_every_format_gives_the_same_rows(tmp_path: Path, write: Any, streaming: bool) -> None:
    assert load(write(tmp_path), dataset_streaming=streaming) == [
        {**row, "prompt": [{"role": "user", "content": row["problem"]}]} for row in ROWS
    ]


def test_another_split(tmp_path: Path) -> None:
    assert [row["solution"] for row in load(saved_splits(tmp_path), dataset_train_split="test")] == ["$4$"]


def test_a_system_prompt_comes_first(tmp_path: Path) -> None:
    assert load(jsonl(tmp_path), system_prompt="Think.")[0]["prompt"] == [
        {"role": "system", "content": "Think."},
        {"role": "user", "content": "1 + 1?"},
    ]


def test_without_a_chat_template_the_text_is_the_prompt(tmp_path: Path) -> None:
    assert load(jsonl(tmp_path), as_messages=False)[0]["prompt"] == "1 + 1?"


def test_the_default_column_is_prompt(tmp_path: Path) -> None:
    file = write_rows(tmp_path / "prompts.jsonl", [{"prompt": "1 + 1?", "solution": "$2$"}])
    assert load(str(file), dataset_prompt_column="prompt") == [
        {"prompt": [{"role": "user", "content": "1 + 1?"}], "solution": "$2$"}
    ]


def test_messages_stay_as_they_are_and_a_column_of_that_name_goes(tmp_path: Path) -> None:
    conversation = [{"role": "user", "content": "1 + 1?"}, {"role": "assistant", "content": "2"}]
    file = write_rows(tmp_path / "chat.jsonl", [{"prompt": conversation[:1], "messages": conversation}])
    assert load(str(file), dataset_prompt_column="prompt", system_prompt="Think.") == [
        {"prompt": [{"role": "system", "content": "Think."}, *conversation[:1]]}
    ]
    assert load(str(file), dataset_prompt_column="messages") == [{"prompt": conversation}]


def test_columns_are_those_of_the_data_set(tmp_path: Path) -> None:
    script = OpenR1Arguments(dataset_name=jsonl(tmp_path), dataset_prompt_column="problem")
    assert columns_of(load_data(Recipe(None, None, script), {}, as_messages=True).training) == ["problem", "solution"]


PLACES = (
    "give a .jsonl, .json or .parquet file or a folder written by save_to_disk on the run's volume, which is mounted "
    "at /volume, or the id of a data set on the hub."
)
MISTAKES: dict[str, tuple[dict[str, Any], str, str]] = {
    "file": (
        {"dataset_name": "{folder}/none.jsonl"},
        "DatasetNotFound",
        "spec.recipe.dataset_name: '{folder}/none.jsonl' does not exist, {folder} holds splits, train.csv, "
        "train.jsonl; " + PLACES,
    ),
    "folder": (
        {"dataset_name": "/nowhere/at/all"},
        "DatasetNotFound",
        "spec.recipe.dataset_name: '/nowhere/at/all' does not exist, nor does /nowhere/at; " + PLACES,
    ),
    "format": (
        {"dataset_name": "{folder}/train.csv"},
        "DatasetNotFound",
        "spec.recipe.dataset_name: '{folder}/train.csv' is of no known format, its name does not end in .jsonl, .json, "
        ".parquet; " + PLACES,
    ),
    "folder of something else": (
        {"dataset_name": "{folder}"},
        "DatasetNotFound",
        "spec.recipe.dataset_name: '{folder}' cannot be read, Directory {folder} is neither a `Dataset` directory nor "
        "a `DatasetDict` directory; give a .jsonl, .json or .parquet file or a folder written by save_to_disk.",
    ),
    "column": (
        {"dataset_name": "{folder}/train.jsonl", "dataset_prompt_column": "question"},
        "ColumnNotFound",
        "spec.recipe.dataset_prompt_column: data set '{folder}/train.jsonl' has no column 'question'; "
        "use one of problem, solution.",
    ),
    "column of a folder": (
        {"dataset_name": "{folder}/splits", "dataset_prompt_column": "question"},
        "ColumnNotFound",
        "spec.recipe.dataset_prompt_column: data set '{folder}/splits' has no column 'question'; "
        "use one of problem, solution.",
    ),
    "split": (
        {"dataset_name": "{folder}/splits", "dataset_train_split": "validation"},
        "DatasetNotFound",
        "spec.recipe.dataset_train_split: data set '{folder}/splits' has no split 'validation'; "
        "use one of train, test.",
    ),
    "split of a file": (
        {"dataset_name": "{folder}/train.jsonl", "dataset_train_split": "test"},
        "DatasetNotFound",
        "spec.recipe.dataset_train_split: data set '{folder}/train.jsonl' has no split 'test'; use one of train.",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_what_is_missing_is_named_with_what_is_there(tmp_path: Path, mistake: str) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    jsonl(folder)
    saved_splits(folder)
    (folder / "train.csv").touch()
    keys, reason, sentence = MISTAKES[mistake]
    with pytest.raises(UserError) as caught:
        load(keys["dataset_name"].format(folder=folder), **{key: keys[key] for key in keys if key != "dataset_name"})
    assert caught.value.failure.reason == reason
    assert str(caught.value) == sentence.format(folder=folder)


def test_a_file_that_is_not_what_its_name_says(tmp_path: Path) -> None:
    (tmp_path / "train.parquet").write_text("this is no parquet")
    with pytest.raises(UserError, match=r"train.parquet' cannot be read, .*; give a .jsonl, .json or .parquet file"):
        load(str(tmp_path / "train.parquet"))


@pytest.mark.parametrize("streaming", [False, True])
def test_a_data_set_without_rows(tmp_path: Path, streaming: bool) -> None:
    (tmp_path / "train.jsonl").write_text("\n")
    with pytest.raises(UserError) as caught:
        load(str(tmp_path / "train.jsonl"), dataset_streaming=streaming)
    assert caught.value.failure.reason == "DatasetNotFound"
    assert str(caught.value) == (
        f"spec.recipe.dataset_name: '{tmp_path}/train.jsonl' has no rows in split 'train'; give a data set with a row for "
        "each prompt."
    )


@pytest.mark.parametrize("streaming", [False, True])
def test_a_repository_without_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, streaming: bool) -> None:
    """A folder with files in it is to `datasets` what a repository of the hub is."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train.jsonl").write_text("\n")
    monkeypatch.setattr("grpo_trainer.inputs.data.is_path", lambda name: False)
    with pytest.raises(UserError, match=r"^spec\.recipe\.dataset_name: '.*' has no rows in split 'train'; give a data"):
        load_source(Source(str(tmp_path / "data"), is_streamed=streaming), "problem")


@pytest.mark.parametrize("is_streamed", [False, True])
def test_too_few_prompts_for_one_batch(is_streamed: bool) -> None:
    rows = datasets.Dataset.from_list(ROWS)
    data = rows.to_iterable_dataset() if is_streamed else rows
    script = OpenR1Arguments(dataset_name="data")
    check_size(data, 2, script)
    with pytest.raises(UserError) as caught:
        check_size(data, 3, script)
    assert str(caught.value) == (
        "spec.recipe.dataset_name: 'data' has 2 prompts, a generation batch needs 3; lower "
        "per_device_train_batch_size or gradient_accumulation_steps, or raise num_generations."
    )


DECLARED: dict[str, tuple[dict[str, Any], str]] = {
    "prompt": (
        {"dataset_prompt_column": "question"},
        "spec.recipe.dataset_prompt_column: data set '{name}' has no column 'question'; use one of problem, solution.",
    ),
    "split": (
        {"dataset_train_split": "train[:10%]+validation"},
        "spec.recipe.dataset_train_split: data set '{name}' has no split 'validation'; use one of train, test.",
    ),
    "reward": (
        {},
        "spec.recipe.reward_funcs: 'mine' needs a column 'answer', data set '{name}' has problem, solution; "
        "add the column to the data set or choose another reward.",
    ),
}


@pytest.mark.parametrize("mistake", DECLARED)
def test_what_the_hub_declares_is_looked_at_before_the_download(repository: str, mistake: str) -> None:
    keys, sentence = DECLARED[mistake]
    script = OpenR1Arguments(dataset_name=repository, **({"dataset_prompt_column": "problem"} | keys))
    with pytest.raises(UserError) as caught:
        load_data(Recipe(None, None, script), {"mine": ["answer"]}, as_messages=True)
    assert str(caught.value) == sentence.format(name=repository)


@pytest.mark.parametrize("split", ["train", "test", "train[:10%]+test[5:]", "all"])
def test_splits_that_the_hub_declares(repository: str, split: str) -> None:
    assert declared_columns(Source(repository, split=split), "problem") == ["problem", "solution"]


def test_a_hub_that_declares_nothing(repository: str) -> None:
    Path(repository, "README.md").unlink()
    assert declared_columns(Source(repository), "prompt") is None


UNLOADABLE: dict[str, tuple[dict[str, str], str]] = {
    "nothing but a card": ({"README.md": ""}, "The directory at {name} doesn't contain any data files"),
    "files of no known format": ({"notes.exe": ""}, "No (supported) data files found in {name}"),
    "what the card names is not there": (
        {"README.md": "---\nconfigs:\n- config_name: default\n  data_files: rows.parquet\n---\n"},
        "Unable to find '{name}/rows.parquet' with any supported extension",
    ),
    "a loading script": (
        {"repository.py": "", "train.jsonl": ""},
        "Dataset scripts are no longer supported, but found repository.py",
    ),
}


@pytest.mark.parametrize("what", UNLOADABLE)
def test_a_repository_without_rows_that_can_be_loaded(repository: str, what: str) -> None:
    files, words = UNLOADABLE[what]
    for file in Path(repository).iterdir():
        file.unlink()
    for name, content in files.items():
        Path(repository, name).write_text(content)
    with pytest.raises(UserError) as caught:
        load(repository)
    assert caught.value.failure.reason == "DatasetNotFound"
    sentence = f"spec.recipe.dataset_name: {repository!r} cannot be loaded, {words.format(name=repository)}"
    assert str(caught.value).startswith(sentence)
    assert str(caught.value).endswith("; name a data set of JSON Lines, JSON or Parquet files.")


@pytest.mark.parametrize(
    ("name", "words"),
    [("org/team/data", "Couldn't find any data file at "), ("org/my data", "Repo id must use alphanumeric chars")],
)
def test_what_is_no_id(name: str, words: str) -> None:
    with pytest.raises(UserError) as caught:
        load(name)
    assert caught.value.failure.reason == "DatasetNotFound"
    assert str(caught.value).startswith(f"spec.recipe.dataset_name: {name!r} cannot be loaded, {words}")


def test_a_file_that_is_missing_in_the_cache_is_no_mistake(repository: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def lose(*_: object, **__: object) -> None:
        Path("/volume/cache/lost").read_text()

    monkeypatch.setattr(datasets, "load_dataset_builder", lose)
    with pytest.raises(FileNotFoundError, match="/volume/cache/lost"):
        load(repository)
