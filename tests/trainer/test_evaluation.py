"""What a recipe that evaluates loads, what it is refused for, and that training's random numbers are left alone."""

import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import datasets
import numpy as np
import pytest
import torch
from transformers import DefaultFlowCallback, TrainerControl, TrainerState

from grpo_contract.failure import UserError
from grpo_trainer.evaluating.evaluation import check_evaluation, check_rows, random_state_kept
from grpo_trainer.evaluating.once import OnceAStep
from grpo_trainer.inputs.loading import load_data
from grpo_trainer.inputs.streams import read_whole
from grpo_trainer.recipe import OpenR1Arguments, Recipe
from trainer.learner_inputs import write_rows

ROWS = [{"problem": str(number), "solution": "x"} for number in range(6)]


@pytest.fixture
def volume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    rows = datasets.Dataset.from_list(ROWS)
    datasets.DatasetDict({"train": rows, "test": rows.select([1, 2])}).save_to_disk(tmp_path / "two")
    return tmp_path


def load(**keys: Any) -> Any:
    script = OpenR1Arguments(dataset_prompt_column="problem", system_prompt="Think.", **keys)
    return load_data(Recipe(None, None, script, "eval_strategy"), {}, as_messages=True)


def test_the_rows_of_the_test_split_are_laid_out_as_those_of_training(volume: Path) -> None:
    data = load(dataset_name=str(volume / "two"))
    assert len(data.training) == 6
    assert list(data.evaluation) == [
        ROWS[number] | {"prompt": [{"role": "system", "content": "Think."}, {"role": "user", "content": str(number)}]}
        for number in (1, 2)
    ]


@pytest.fixture
def streamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with files in it is to `datasets` what a repository of the hub is. 5 rows to evaluate on, of two files."""
    monkeypatch.setattr("grpo_trainer.inputs.data.is_path", lambda name: False)
    for file, rows in (("train-0", ROWS), ("test-0", ROWS[:3]), ("test-1", ROWS[4:])):
        write_rows(tmp_path / f"{file}.jsonl", rows)
    return tmp_path


def test_a_streamed_test_split_is_there_as_a_whole(streamed: Path) -> None:
    """Its number is known, and each evaluation has the same rows; training goes on being a stream."""
    data = load(dataset_name=str(streamed), dataset_streaming=True)
    assert isinstance(data.training, datasets.IterableDataset)
    assert len(data.evaluation) == 5
    assert (
        list(data.evaluation)
        == list(data.evaluation)
        == [
            ROWS[number]
            | {"prompt": [{"role": "system", "content": "Think."}, {"role": "user", "content": str(number)}]}
            for number in (0, 1, 2, 4, 5)
        ]
    )


def test_values_of_a_streamed_test_split_keep_their_types(streamed: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"problem": "1 + 1?", "parts": [1, 1], "meta": {"level": 0.5}},
        {"problem": "?", "parts": None, "meta": {"level": None}},
    ]
    datasets.Dataset.from_list(rows).to_parquet(streamed / "validation.parquet")
    for file in streamed.glob("*.jsonl"):
        file.unlink()
    datasets.Dataset.from_list(rows).to_parquet(streamed / "train.parquet")
    script = OpenR1Arguments(
        dataset_name=str(streamed),
        dataset_streaming=True,
        dataset_test_split="validation",
        dataset_prompt_column="problem",
    )
    data = load_data(Recipe(None, None, script, "do_eval"), {}, as_messages=False)
    assert data.evaluation is not None
    assert list(data.evaluation) == [{**row, "prompt": row["problem"]} for row in rows]


@pytest.mark.parametrize(("most", "is_refused"), [(5, False), (4, True)])
def test_a_streamed_test_split_that_is_too_large(
    streamed: Path, monkeypatch: pytest.MonkeyPatch, most: int, is_refused: bool
) -> None:
    monkeypatch.setattr("grpo_trainer.inputs.streams.MOST_STREAMED_ROWS", most)
    monkeypatch.setattr("grpo_contract.recipe.evaluation.MOST_STREAMED_ROWS", most)
    if not is_refused:
        assert len(load(dataset_name=str(streamed), dataset_streaming=True).evaluation) == most
        return
    with pytest.raises(UserError) as refused:
        load(dataset_name=str(streamed), dataset_streaming=True)
    assert refused.value.failure.reason == "InvalidRecipe"
    assert refused.value.failure.message == (
        "spec.recipe.dataset_test_split is 'test', which has more than 4 rows, and those of a data set that is streamed are "
        "held in memory; name a smaller split, or leave dataset_streaming out."
    )


def test_a_stream_without_an_end_is_too_large() -> None:
    endless = datasets.Dataset.from_list(ROWS).to_iterable_dataset().repeat(None)
    with pytest.raises(UserError, match="'test', which has more than 20000 rows"):
        read_whole(endless, "test")


def test_a_streamed_test_split_without_rows(streamed: Path) -> None:
    (streamed / "test-1.jsonl").unlink()
    (streamed / "test-0.jsonl").write_text("\n")
    with pytest.raises(UserError) as refused:
        load(dataset_name=str(streamed), dataset_streaming=True)
    assert refused.value.failure.message == (
        f"spec.recipe.dataset_name: '{streamed}' has no rows in split 'test'; give a data set with a row for each prompt."
    )


def test_a_mixture_evaluates_on_what_it_keeps_out(volume: Path) -> None:
    data = load(dataset_mixture={"datasets": [{"id": str(volume / "two")}], "test_split_size": 2})
    rows = [{row["problem"] for row in part} for part in data]
    assert [len(part) for part in rows] == [4, 2]
    assert rows[0] | rows[1] == {row["problem"] for row in ROWS}


def test_without_an_evaluation_no_other_split_is_looked_at(volume: Path) -> None:
    script = OpenR1Arguments(dataset_prompt_column="problem", dataset_name=str(volume / "two"), dataset_test_split="no")
    assert load_data(Recipe(None, None, script), {}, as_messages=True).evaluation is None


def test_a_split_that_is_not_there(volume: Path) -> None:
    with pytest.raises(UserError) as refused:
        load(dataset_name=str(volume / "two"), dataset_test_split="validation")
    assert refused.value.failure.message == (
        f"spec.recipe.dataset_test_split: data set '{volume / 'two'}' has no split 'validation'; use one of train, test."
    )


def recipe(mixture: Any = None, group: int | None = None, drop_last: bool = False) -> Recipe:
    script = OpenR1Arguments(dataset_mixture=mixture)
    training = SimpleNamespace(
        eval_batch_size=8, world_size=2, num_generations=4, num_generations_eval=group, dataloader_drop_last=drop_last
    )
    return Recipe(training, None, script, "do_eval")


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (
            recipe(mixture={"datasets": [{"id": "a"}]}),
            "spec.recipe.do_eval asks for an evaluation, but spec.recipe.dataset_mixture keeps no rows out of training; set "
            "test_split_size in it, or leave do_eval out.",
        ),
        (
            recipe(group=3),
            "spec.recipe.num_generations_eval is 3 (num_generations where it is left out), which does not divide the 16 "
            "completions of an evaluation batch: 2 learner processes x per_device_eval_batch_size 8; change one of them.",
        ),
    ],
    ids=["mixture", "group"],
)
def test_what_is_refused_before_data_is_loaded(wrong: Recipe, sentence: str) -> None:
    with pytest.raises(UserError) as refused:
        check_evaluation(wrong)
    assert refused.value.failure.message == sentence


def test_what_goes_together() -> None:
    check_evaluation(recipe())
    check_evaluation(recipe(group=1))
    check_rows(1, recipe().training)
    check_rows(4, recipe(drop_last=True).training)


def test_too_few_rows() -> None:
    with pytest.raises(UserError) as refused:
        check_rows(3, recipe(drop_last=True).training)
    assert refused.value.failure.message == (
        "spec.recipe.dataset_test_split: there are 3 rows to evaluate on, and 4 are needed, since dataloader_drop_last leaves "
        "out a batch that is not whole; give it a split with more rows, or raise test_split_size of dataset_mixture."
    )


@pytest.mark.parametrize(
    ("told", "is_made"),
    [
        ([], True),
        ([{"step": 3, "loss": 0.1}], True),
        ([{"step": 0, "eval_loss": 0.1}, {"step": 3, "loss": 0.1}], True),
        ([{"step": 3, "loss": 0.1}, {"step": 3, "eval_loss": 0.1}], False),
    ],
)
def test_a_step_is_evaluated_once_at_the_end_of_an_epoch(told: list[dict[str, Any]], is_made: bool) -> None:
    state, control = TrainerState(global_step=3, epoch=1, log_history=told), TrainerControl()
    args: Any = SimpleNamespace(eval_strategy="epoch", eval_delay=0, logging_strategy="no", save_strategy="no")
    for callback in (DefaultFlowCallback(), OnceAStep()):
        callback.on_epoch_end(args, state, control)
    assert control.should_evaluate is is_made


def draws() -> tuple[float, float, float]:
    return random.random(), float(np.random.rand()), torch.rand(()).item()


def test_random_numbers_go_on_as_if_none_were_drawn() -> None:
    for seed in (random.seed, np.random.seed, torch.manual_seed):
        seed(3)
    expected = draws()
    for seed in (random.seed, np.random.seed, torch.manual_seed):
        seed(3)
    with random_state_kept():
        draws()
    assert draws() == expected
