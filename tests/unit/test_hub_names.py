"""Names that nothing on the hub can have, and neighbours."""

from typing import Any

import pytest

from grpo_contract.recipe.hub_names import is_repository
from grpo_contract.recipe.mistakes import recipe_mistakes

NO_REPOSITORY = [
    "my model",
    "me/my model",
    "me/",
    "a/b/c",
    "-a",
    "a.",
    "a--b",
    "me/a..b",
    "a.git",
    "né",
    "a" * 97,
    "hf://a/b",
]
REPOSITORIES = ["gpt2", "Qwen/Qwen2.5-1.5B-Instruct", "open-r1/OpenR1-Math-220k", "_a_", "1", "a" * 96]
RECIPE: dict[str, Any] = {"model_name_or_path": "me/model", "dataset_name": "me/data", "reward_funcs": ["accuracy"]}
NO_NAME = (
    "which can be no repository of the hub: that is name or owner/name, of letters, digits, '-', '_' and '.', without '--' and "
    "'..'; correct it."
)
NO_REVISION = "which can be no branch, tag or commit: these have no spaces, no '..' and none of ~^:?*[\\; correct it."
# (recipe, neighbour, sentence after spec.recipe.)
MISTAKES: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    (
        {"model_name_or_path": "me/my model"},
        {"model_name_or_path": "/volume/my model"},
        f"model_name_or_path is 'me/my model', {NO_NAME}",
    ),
    ({"dataset_name": "my data"}, {"dataset_name": "/volume/my data"}, f"dataset_name is 'my data', {NO_NAME}"),
    (
        {"dataset_mixture": {"datasets": [{"id": "a"}, {"id": "b b"}]}},
        {"dataset_mixture": {"datasets": [{"id": "a"}, {"id": "/volume/b b"}]}},
        f"dataset_mixture.datasets holds 'b b', {NO_NAME}",
    ),
    (
        {"push_to_hub": True, "hub_model_id": "me/my model"},
        {"push_to_hub": False, "hub_model_id": "me/my model"},
        f"hub_model_id is 'me/my model', {NO_NAME}",
    ),
    (
        {"push_to_hub_revision": True, "hub_revision": "v 1"},
        {"push_to_hub_revision": False, "hub_revision": "v 1"},
        f"hub_revision is 'v 1', {NO_REVISION}",
    ),
    ({"model_revision": "v1..v2"}, {"model_revision": "refs/pr/1"}, f"model_revision is 'v1..v2', {NO_REVISION}"),
]


@pytest.mark.parametrize("name", NO_REPOSITORY)
def test_no_name_of_a_repository(name: str) -> None:
    assert not is_repository(name)


@pytest.mark.parametrize("name", REPOSITORIES)
def test_a_name_of_one(name: str) -> None:
    assert is_repository(name)


@pytest.mark.parametrize(("recipe", "neighbour", "sentence"), MISTAKES)
def test_of_a_recipe(recipe: dict[str, Any], neighbour: dict[str, Any], sentence: str) -> None:
    assert recipe_mistakes(RECIPE | recipe, {}) == [f"spec.recipe.{sentence}"]
    assert recipe_mistakes(RECIPE | neighbour, {}) == []
