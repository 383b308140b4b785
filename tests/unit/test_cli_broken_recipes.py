"""Recipes as people break them, through the command's own reading of YAML, and the sentences that help."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from grpo_cli.check import Known, check_run
from grpo_cli.documents import read_document
from grpo_cli.finding import Level
from grpo_cli.from_recipe import Pods, Surroundings, build_run
from grpo_cli.product import product
from unit.cli_inputs import said

CASES: list[dict[str, Any]] = yaml.safe_load(Path(__file__).with_name("broken_recipes.yaml").read_text())
SOUND = """\
model_name_or_path: Qwen/Qwen2.5-1.5B-Instruct
dataset_name: open-r1/OpenR1-Math-220k
reward_funcs: [accuracy, format]
"""
EIGHT_GPUS = Surroundings("broken", learners=Pods(1, 8))


def recipe_of(text: str) -> dict[str, Any]:
    return read_document("sound", SOUND).content | read_document("broken", text).content


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case["recipe"]))
def test_a_broken_recipe_gets_its_sentences(case: dict[str, Any]) -> None:
    report = check_run(build_run(recipe_of(case["recipe"]), EIGHT_GPUS), Known(), product())
    assert [sentence for _, sentence in said(report, Level.ERROR, Level.WASTE)] == case["sentences"]


def test_there_are_enough_of_them() -> None:
    assert len(CASES) >= 20
