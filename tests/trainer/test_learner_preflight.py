"""Mistakes in paths, seen before torch is imported."""

from pathlib import Path

import pytest

from grpo_contract.failure import UserError
from grpo_contract.paths import listing
from grpo_trainer import preflight

REMEDY = "give a model's folder on the run's volume, which is mounted at /volume, or its id on the hub."
MODELS: list[tuple[list[str], str]] = [
    (["README.md"], "is no model, it has no config.json but README.md"),
    ([], "is no model, it has no config.json but nothing"),
    (["config.json"], "has no weights, no *.safetensors or *.bin but config.json"),
    (
        ["config.json", "model.safetensors"],
        "has no tokenizer, no tokenizer* or vocab* but config.json, model.safetensors",
    ),
]


@pytest.mark.parametrize(("files", "problem"), MODELS)
def test_a_folder_that_is_no_model(tmp_path: Path, files: list[str], problem: str) -> None:
    for name in files:
        (tmp_path / name).write_text('{"model_type": "qwen2"}')
    with pytest.raises(UserError) as caught:
        preflight.check_model(str(tmp_path))
    assert caught.value.failure.reason == "ModelNotFound"
    assert str(caught.value) == f"spec.recipe.model_name_or_path: '{tmp_path}' {problem}; {REMEDY}"


def test_a_model(tiny_model: Path) -> None:
    preflight.check_model(str(tiny_model))


def test_ids_on_the_hub_are_not_looked_at() -> None:
    preflight.check({"model_name_or_path": "org/model", "dataset_name": "org/data", "reward_funcs": ["accuracy"]})


@pytest.mark.parametrize("key", ["model_name_or_path", "dataset_name", "reward_funcs"])
def test_keys_that_every_run_needs(key: str) -> None:
    recipe = {"model_name_or_path": "org/model", "dataset_name": "org/data", "reward_funcs": ["accuracy"]}
    del recipe[key]
    with pytest.raises(UserError, match=rf"^spec\.recipe\.{key}: missing; set it to .*\.$"):
        preflight.check(recipe)


def test_a_long_listing_is_cut(tmp_path: Path) -> None:
    for number in range(12):
        (tmp_path / f"file{number:02}").touch()
    assert listing(tmp_path) == ", ".join([f"file{number:02}" for number in range(10)] + ["..."])
