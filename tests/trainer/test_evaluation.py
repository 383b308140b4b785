"""What a recipe that evaluates loads, what it is refused for, and that training's random numbers are left alone."""

import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import datasets
import numpy as np
import pytest
import torch

from grpo_contract.failure import UserError
from grpo_trainer.evaluating.evaluation import check_evaluation, check_rows, random_state_kept
from grpo_trainer.inputs.loading import load_data
from grpo_trainer.recipe import OpenR1Arguments, Recipe

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


def recipe(streaming: bool = False, mixture: Any = None, group: int | None = None, drop_last: bool = False) -> Recipe:
    script = OpenR1Arguments(dataset_streaming=streaming, dataset_mixture=mixture)
    training = SimpleNamespace(
        eval_batch_size=8, world_size=2, num_generations=4, num_generations_eval=group, dataloader_drop_last=drop_last
    )
    return Recipe(training, None, script, "do_eval")


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (
            recipe(streaming=True),
            "spec.recipe.do_eval asks for an evaluation, but a data set that is streamed (dataset_streaming) cannot be "
            "evaluated on yet; leave one of them out.",
        ),
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
    ids=["stream", "mixture", "group"],
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
