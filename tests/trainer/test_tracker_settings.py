"""Which trackers a recipe asks for, and who tells them."""

from pathlib import Path
from typing import Any

import pytest
from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK

from grpo_contract.recipe.trackers import OTHER_TRACKERS, TRACKER_PACKAGES
from grpo_trainer.reports.tracker_report import unique_prompts
from grpo_trainer.trackers.settings import environment_of, other_trackers, own_trackers

AVAILABLE = ["mlflow", "tensorboard", "trackio", "wandb"]


@pytest.mark.parametrize(
    ("report_to", "own", "others"),
    [
        (None, [], []),
        ("none", [], []),
        ([], [], []),
        ("wandb", ["wandb"], []),
        (["wandb"], ["wandb"], []),
        (["tensorboard", "mlflow"], ["tensorboard"], ["mlflow"]),
        ("all", ["wandb", "tensorboard", "trackio"], ["mlflow"]),
        (["all"], ["wandb", "tensorboard", "trackio"], ["mlflow"]),
        ("trackio", ["trackio"], []),
        (["swanlab"], [], ["swanlab"]),
    ],
)
def test_who_tells_them(report_to: Any, own: list[str], others: list[str]) -> None:
    recipe = {} if report_to is None else {"report_to": report_to}
    assert own_trackers(recipe) == own
    assert other_trackers(recipe, AVAILABLE) == others


def test_the_trackers_are_transformers_own() -> None:
    assert {*TRACKER_PACKAGES, *OTHER_TRACKERS} == INTEGRATION_TO_CALLBACK.keys()


def test_one_whose_package_the_image_lacks_is_left_to_transformers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which says so."""
    monkeypatch.setattr("grpo_trainer.trackers.settings.find_spec", lambda name: None)
    assert own_trackers({"report_to": "wandb"}) == []
    assert other_trackers({"report_to": "wandb"}, ["mlflow"]) == ["wandb"]


def test_open_r1s_keys_are_wandbs_environment() -> None:
    recipe = {"wandb_entity": "the-lab", "wandb_project": "proofs", "wandb_run_group": None}
    assert environment_of(recipe, Path("/trackers"), {"TRACKIO_DIR": "/elsewhere"}) == {
        "WANDB_ENTITY": "the-lab",
        "WANDB_PROJECT": "proofs",
    }


def test_trackios_database_is_on_the_volume() -> None:
    assert environment_of({}, Path("/trackers"), {}) == {"TRACKIO_DIR": "/trackers/trackio"}


def test_unique_prompts() -> None:
    table = {"prompt": ["a", "a", "b", "a"], "completion": ["1", "2", "3", "4"]}
    assert unique_prompts(table) == {"prompt": ["a", "b"], "completion": ["1", "3"]}
