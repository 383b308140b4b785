"""read_settings: what a recipe in today's keys asks for on the hub."""

from typing import Any

import pytest

from grpo_contract.failure import UserError
from grpo_contract.hub import pushes
from grpo_contract.recipe.old_keys import translate
from grpo_trainer.hub.settings import HubSettings, Strategy, read_settings

PUSH = {"push_to_hub": True, "hub_model_id": "me/model"}
CALLBACK = {"callbacks": ["push_to_hub_revision"], "hub_model_id": "me/model"}

SETTINGS: list[tuple[dict[str, Any], HubSettings | None]] = [
    ({}, None),
    ({"push_to_hub": False, "hub_model_id": "me/model", "hub_strategy": "every_save"}, None),
    ({"push_to_hub": None, "push_to_hub_revision": None, "callbacks": None}, None),
    ({"callbacks": ["early_stopping"]}, None),
    (PUSH, HubSettings("me/model", "main", None, Strategy.EVERY_SAVE)),
    (PUSH | {"hub_strategy": "checkpoint"}, HubSettings("me/model", "main", None, Strategy.CHECKPOINT)),
    (PUSH | {"hub_private_repo": True}, HubSettings("me/model", "main", True, Strategy.EVERY_SAVE)),
    (PUSH | {"hub_private_repo": False}, HubSettings("me/model", "main", False, Strategy.EVERY_SAVE)),
    (
        PUSH | {"hub_always_push": True, "hub_revision": "v2"},
        HubSettings("me/model", "v2", None, Strategy.EVERY_SAVE, always_pushes=True),
    ),
    # Open-R1's: at the end, to a repository that is private unless the recipe says otherwise.
    (
        {"push_to_hub_revision": True, "hub_model_id": "me/model", "hub_revision": "v1", "hub_strategy": "every_save"},
        HubSettings("me/model", "v1", True, Strategy.END, is_guarded=True),
    ),
    (
        {"push_to_hub_revision": True, "hub_model_id": "me/model", "overwrite_hub_revision": True},
        HubSettings("me/model", "main", True, Strategy.END),
    ),
    (
        PUSH | {"push_to_hub_revision": True},
        HubSettings("me/model", "main", None, Strategy.EVERY_SAVE, is_guarded=True),
    ),
    (
        PUSH | {"overwrite_hub_revision": False},
        HubSettings("me/model", "main", None, Strategy.EVERY_SAVE),
    ),
    (CALLBACK, HubSettings("me/model", "main", True, None, has_branch_per_checkpoint=True)),
    (
        CALLBACK | {"hub_private_repo": False},
        HubSettings("me/model", "main", False, None, has_branch_per_checkpoint=True),
    ),
]


@pytest.mark.parametrize(("recipe", "settings"), SETTINGS)
def test_settings(recipe: dict[str, Any], settings: HubSettings | None) -> None:
    assert read_settings(recipe, "first") == settings


@pytest.mark.parametrize(
    ("recipe", "repository"),
    [
        ({"hub_model_id": "org/model", "output_dir": "data/out"}, "org/model"),
        ({"output_dir": "data/out"}, "out"),
        ({"output_dir": "/data/Qwen2.5-1.5B-Open-R1-GRPO/"}, "Qwen2.5-1.5B-Open-R1-GRPO"),
        ({"output_dir": "."}, "first"),
        ({"output_dir": None, "hub_model_id": None}, "first"),
        ({}, "first"),
    ],
)
def test_the_name_of_the_repository(recipe: dict[str, Any], repository: str) -> None:
    settings = read_settings({"push_to_hub": True} | recipe, "first")
    assert settings is not None
    assert settings.repository == repository


def test_recipes_of_open_r1() -> None:
    codeforces, _ = translate(
        {
            "callbacks": ["push_to_hub_revision"],
            "hub_model_id": "open-r1/Qwen2.5-Coder-7B-Instruct-Codeforces-GRPO",
            "hub_model_revision": "v01.00",
            "hub_strategy": "every_save",
            "output_dir": "data/Qwen2.5-Coder-7B-Instruct-Codeforces-GRPO_v01.00",
            "push_to_hub": True,
        }
    )
    assert read_settings(codeforces, "first") == HubSettings(
        "open-r1/Qwen2.5-Coder-7B-Instruct-Codeforces-GRPO",
        "v01.00",
        None,
        Strategy.EVERY_SAVE,
        has_branch_per_checkpoint=True,
    )


@pytest.mark.parametrize(
    ("recipe", "sentence"),
    [
        (
            PUSH | {"hub_strategy": "often"},
            "spec.recipe.hub_strategy: 'often' is not one of end, every_save, checkpoint, all_checkpoints; set it to "
            "one.",
        ),
        (
            {"callbacks": ["my_callback"]},
            "spec.recipe.callbacks holds 'my_callback', which is none of push_to_hub_revision, early_stopping; remove it.",
        ),
    ],
)
def test_a_mistake(recipe: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError) as caught:
        read_settings(recipe, "first")
    assert caught.value.failure.reason == "InvalidRecipe"
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("recipe", "key"),
    [
        ({}, None),
        ({"callbacks": ["early_stopping"], "push_to_hub": False}, None),
        ({"callbacks": ["early_stopping", "push_to_hub_revision"]}, "callbacks"),
        ({"callbacks": ["push_to_hub_revision"], "push_to_hub_revision": True}, "push_to_hub_revision"),
        ({"push_to_hub": True}, "push_to_hub"),
    ],
)
def test_the_key_that_pushes(recipe: dict[str, Any], key: str | None) -> None:
    assert pushes(recipe) == key
