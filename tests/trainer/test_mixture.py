"""Which rows a mixture has, in which order, and what is said of an entry that is not right."""

import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import datasets
import numpy
import pytest

from grpo_contract.failure import UserError
from grpo_trainer import preflight
from grpo_trainer.inputs.data import check_size, columns_of
from grpo_trainer.inputs.loading import load_data
from grpo_trainer.recipe import OpenR1Arguments, Recipe
from trainer.learner_inputs import write_rows

Row = dict[str, Any]


def rows(name: str, count: int) -> list[Row]:
    return [{"problem": f"{name}{number}", "solution": f"${number}$", "source": name} for number in range(count)]


A, B, C = rows("a", 8), rows("b", 5), rows("c", 3)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    """a.jsonl, a folder b with the splits train and other, and c.parquet."""
    folder = tmp_path / "volume"
    folder.mkdir()
    write_rows(folder / "a.jsonl", A)
    splits = {"train": datasets.Dataset.from_list(A[:1]), "other": datasets.Dataset.from_list(B)}
    datasets.DatasetDict(splits).save_to_disk(folder / "b")
    datasets.Dataset.from_list(C).to_parquet(folder / "c.parquet")
    return folder


def load(
    *entries: Row, split: str = "train", required: Mapping[str, list[str]] | None = None, **mixture: Any
) -> list[Row]:
    script = OpenR1Arguments(
        dataset_mixture={"datasets": list(entries)} | mixture,
        dataset_prompt_column="problem",
        dataset_train_split=split,
    )
    return list(load_data(Recipe(None, None, script), required or {}, as_messages=False).training)


def problems(loaded: list[Row]) -> list[str]:
    assert all(row["prompt"] == row["problem"] for row in loaded)
    return [row["problem"] for row in loaded]


def shuffled(items: list[Any], seed: int) -> list[Any]:
    return [items[place] for place in numpy.random.default_rng(seed).permutation(len(items))]


def drawn(items: list[Any], weight: float, seed: int) -> list[Any]:
    """Open-R1: each entry shuffled, and the first of its rows taken, as many as weight says, rounded down."""
    return shuffled(items, seed)[: int(len(items) * weight)]


def names(*parts: list[Row], seed: int) -> list[str]:
    """Open-R1: the parts one after the other, and shuffled once more, each time from the same seed."""
    return [row["problem"] for row in shuffled([row for part in parts for row in part], seed)]


def test_the_rows_are_those_of_open_r1(volume: Path) -> None:
    entries: list[Row] = [
        {"id": str(volume / "a.jsonl"), "weight": 0.6},
        {"id": str(volume / "b"), "split": "other", "weight": 1},
        {"id": str(volume / "c.parquet")},
    ]
    found = problems(load(*entries, seed=42))
    assert found == names(drawn(A, 0.6, 42), drawn(B, 1, 42), drawn(C, 1, 42), seed=42)
    assert found == ["a3", "b1", "b3", "c2", "c0", "a7", "b2", "a2", "b4", "c1", "a4", "b0"]
    assert problems(load(*entries)) == names(drawn(A, 0.6, 0), drawn(B, 1, 0), drawn(C, 1, 0), seed=0)


def test_weight_null_leaves_the_rows_in_their_order(volume: Path) -> None:
    entries: list[Row] = [
        {"id": str(volume / "a.jsonl"), "weight": None},
        {"id": str(volume / "c.parquet"), "weight": 0.7},
    ]
    assert problems(load(*entries, seed=1)) == names(A, drawn(C, 0.7, 1), seed=1)


def test_an_entry_may_give_no_rows(volume: Path) -> None:
    entries: list[Row] = [{"id": str(volume / "a.jsonl"), "weight": 0.1}, {"id": str(volume / "c.parquet")}]
    assert problems(load(*entries, seed=3)) == names(drawn(C, 1, 3), seed=3)


def test_one_data_set_in_two_entries(volume: Path) -> None:
    entries: list[Row] = [{"id": str(volume / "b")}, {"id": str(volume / "b"), "split": "other", "weight": 0.4}]
    assert problems(load(*entries, seed=5)) == names(A[:1], drawn(B, 0.4, 5), seed=5)


@pytest.mark.parametrize(("size", "count"), [(0.3, math.ceil(0.3 * 11)), (0.01, 1), (3, 3), (3.0, 3)])
def test_the_test_part_is_kept_out_of_training(volume: Path, size: float, count: int) -> None:
    entries: list[Row] = [{"id": str(volume / "a.jsonl")}, {"id": str(volume / "c.parquet")}]
    mixed = names(drawn(A, 1, 7), drawn(C, 1, 7), seed=7)
    assert problems(load(*entries, seed=7, test_split_size=size)) == shuffled(mixed, 7)[count:]
    of_test = load(*entries, seed=7, test_split_size=size, split="test")
    assert problems(of_test) == shuffled(mixed, 7)[:count]


def test_columns_are_those_that_are_kept(volume: Path) -> None:
    mixture = {"datasets": [{"id": str(volume / "a.jsonl"), "columns": ["solution", "problem"]}]}
    script = OpenR1Arguments(dataset_mixture=mixture, dataset_prompt_column="problem")
    data = load_data(Recipe(None, None, script), {}, as_messages=True).training
    assert set(columns_of(data)) == {"problem", "solution"}
    first = drawn(names(A, seed=0), 1, 0)[0]
    row = next(row for row in A if row["problem"] == first)
    assert data[0] == {
        "problem": first, "solution": row["solution"], "prompt": [{"role": "user", "content": first}]
    }  # fmt: skip


def test_a_column_that_an_entry_lacks_is_empty_there(volume: Path) -> None:
    write_rows(volume / "d.jsonl", [{"problem": "d0"}])
    found = load({"id": str(volume / "d.jsonl")}, {"id": str(volume / "c.parquet")})
    assert {row["problem"]: row["solution"] for row in found} == {"d0": None, "c0": "$0$", "c1": "$1$", "c2": "$2$"}


def test_nothing_is_written_beside_the_data(volume: Path) -> None:
    before = sorted(volume.rglob("*"))
    load({"id": str(volume / "b"), "weight": 0.5}, {"id": str(volume / "b"), "split": "other"}, test_split_size=1)
    assert sorted(volume.rglob("*")) == before


ENTRY = "spec.recipe.dataset_mixture.datasets[1]"
MISTAKES: dict[str, tuple[Row, str, str]] = {
    "path": (
        {"id": "{folder}/none.jsonl"},
        "DatasetNotFound",
        f"{ENTRY}.id: '{{folder}}/none.jsonl' does not exist, {{folder}} holds a.jsonl, b, c.parquet, x.csv; give a "
        ".jsonl, .json or .parquet file or a folder written by save_to_disk on the run's volume, which is mounted at "
        "/volume, or the id of a data set on the hub.",
    ),
    "format": (
        {"id": "{folder}"},
        "DatasetNotFound",
        f"{ENTRY}.id: '{{folder}}' cannot be read, Directory {{folder}} is neither a `Dataset` directory nor a "
        "`DatasetDict` directory; give a .jsonl, .json or .parquet file or a folder written by save_to_disk.",
    ),
    "split": (
        {"id": "{folder}/b", "split": "test"},
        "DatasetNotFound",
        f"{ENTRY}.split: data set '{{folder}}/b' has no split 'test'; use one of train, other.",
    ),
    "prompts": (
        {"id": "{folder}/x.jsonl"},
        "ColumnNotFound",
        f"{ENTRY}.id: data set '{{folder}}/x.jsonl' has no column 'problem', which spec.recipe.dataset_prompt_column "
        "names, but question, answer; name one that every entry has, or drop the entry.",
    ),
    "prompts are not kept": (
        {"id": "org/data", "columns": ["solution", "source"]},
        "ColumnNotFound",
        f"{ENTRY}.columns: it keeps solution, source of data set 'org/data', but not 'problem', which "
        "spec.recipe.dataset_prompt_column names; add it.",
    ),
    "kept column": (
        {"id": "{folder}/b", "columns": ["problem", "answer"]},
        "ColumnNotFound",
        f"{ENTRY}.columns: data set '{{folder}}/b' has no column 'answer'; use some of problem, solution, source.",
    ),
    "other key": (
        {"id": "a", "weigth": 0.5},
        "InvalidRecipe",
        f"{ENTRY}.weigth: 0.5 will not do, extra inputs are not permitted; correct it.",
    ),
    "weight": (
        {"id": "a", "weight": 1.5},
        "InvalidRecipe",
        f"{ENTRY}.weight: 1.5 will not do, input should be less than or equal to 1; correct it.",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_names_the_entry(volume: Path, mistake: str) -> None:
    (volume / "x.csv").touch()
    if mistake == "prompts":
        write_rows(volume / "x.jsonl", [{"question": "1 + 1?", "answer": "2"}])
    entry, reason, sentence = MISTAKES[mistake]
    entry = entry | {"id": entry["id"].format(folder=volume)}
    with pytest.raises(UserError) as caught:
        preflight.check(
            {
                "model_name_or_path": "org/model",
                "dataset_mixture": {"datasets": [{"id": str(volume / "a.jsonl")}, entry]},
                "dataset_prompt_column": "problem",
                "reward_funcs": ["accuracy"],
            }
        )
        load({"id": str(volume / "a.jsonl")}, entry)
    assert caught.value.failure.reason == reason
    assert str(caught.value) == sentence.format(folder=volume)


def test_a_reward_needs_its_column_of_every_entry(volume: Path) -> None:
    write_rows(volume / "with.jsonl", [{"problem": "1 + 1?", "answer": "2"}])
    with pytest.raises(UserError) as caught:
        load({"id": str(volume / "with.jsonl")}, {"id": str(volume / "b")}, required={"mine": ["answer"]})
    assert caught.value.failure.reason == "ColumnNotFound"
    assert str(caught.value) == (
        f"spec.recipe.reward_funcs: 'mine' needs a column 'answer', data set '{volume}/b' ({ENTRY}) has problem, "
        "solution, source; add the column to the data set or choose another reward."
    )


def test_a_reward_needs_its_column_among_those_that_are_kept(volume: Path) -> None:
    write_rows(volume / "with.jsonl", [{"problem": "1 + 1?", "answer": "2"}])
    columns = {"columns": ["problem"]}
    with pytest.raises(UserError) as caught:
        load({"id": str(volume / "with.jsonl")} | columns, {"id": str(volume / "b")}, required={"mine": ["answer"]})
    assert str(caught.value) == (
        f"spec.recipe.dataset_mixture.datasets[0].columns: it keeps problem of data set '{volume}/with.jsonl', "
        "but not 'answer', which 'mine' of spec.recipe.reward_funcs needs; add it."
    )


DECLARED: dict[str, tuple[Row, str]] = {
    "split": (
        {"split": "train[:10%]+validation"},
        f"{ENTRY}.split: data set '{{name}}' has no split 'validation'; use one of train, test.",
    ),
    "kept column": (
        {"columns": ["problem", "answer"]},
        f"{ENTRY}.columns: data set '{{name}}' has no column 'answer'; use some of problem, solution.",
    ),
    "reward": (
        {},
        f"spec.recipe.reward_funcs: 'mine' needs a column 'answer', data set '{{name}}' ({ENTRY}) has problem, "
        "solution; add the column to the data set or choose another reward.",
    ),
    "configuration": (
        {"config": "algebra"},
        f"{ENTRY}.split or config: '{{name}}' cannot be loaded, BuilderConfig 'algebra' not found. "
        "Available: ['default'].",
    ),
}


@pytest.mark.parametrize("mistake", DECLARED)
def test_what_the_hub_declares_is_looked_at_before_any_download(repository: str, mistake: str) -> None:
    """Neither repository can be read: to load the first one would be another error."""
    first = Path(shutil.copytree(repository, f"{repository}-first"))
    card = first / "README.md"
    card.write_text(card.read_text().replace("name: solution", "name: answer"))
    entry, sentence = DECLARED[mistake]
    with pytest.raises(UserError) as caught:
        load({"id": str(first)}, {"id": repository} | entry, required={"mine": ["answer"]})
    assert str(caught.value) == sentence.format(name=repository)


def test_columns_of_different_types(volume: Path) -> None:
    write_rows(volume / "d.jsonl", [{"problem": "d0", "solution": 0}])
    with pytest.raises(UserError) as caught:
        load({"id": str(volume / "a.jsonl")}, {"id": str(volume / "d.jsonl")})
    assert caught.value.failure.reason == "InvalidRecipe"
    assert str(caught.value) == (
        f"{ENTRY}.id: column 'solution' of data set '{volume}/d.jsonl' is Value('int64'), but Value('string') in the "
        "entries before it; keep only columns of one type with the columns of the entries."
    )
    kept = {"columns": ["problem"]}
    assert len(load({"id": str(volume / "a.jsonl")} | kept, {"id": str(volume / "d.jsonl")} | kept)) == 9


@pytest.mark.parametrize("size", [3, 4, 0.9])
def test_a_test_part_that_leaves_nothing_to_train_on(volume: Path, size: float) -> None:
    with pytest.raises(UserError) as caught:
        load({"id": str(volume / "c.parquet")}, test_split_size=size)
    assert str(caught.value) == (
        f"spec.recipe.dataset_mixture.test_split_size: {size} leaves none of the mixture's 3 rows to train on; lower it."
    )


def test_a_split_that_a_mixture_has_not(volume: Path) -> None:
    with pytest.raises(UserError) as caught:
        load({"id": str(volume / "c.parquet")}, split="test")
    assert str(caught.value) == ("spec.recipe.dataset_train_split: a mixture has no split 'test'; use one of train.")


def test_too_few_prompts_for_one_batch() -> None:
    script = OpenR1Arguments(dataset_mixture={"datasets": [{"id": "a"}]})
    with pytest.raises(UserError) as caught:
        check_size(datasets.Dataset.from_list(C), 4, script)
    assert str(caught.value) == (
        "spec.recipe.dataset_mixture: it gives 3 prompts, a generation batch needs 4; lower "
        "per_device_train_batch_size or gradient_accumulation_steps, or raise num_generations."
    )
