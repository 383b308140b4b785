"""Prompts with images, of which generators know nothing."""

from typing import Any

import pytest

from grpo_contract.failure import UserError
from grpo_trainer.fleet.generation import FleetGeneration


def test_a_data_set_with_images_is_the_users_mistake() -> None:
    seam: Any = FleetGeneration.__new__(FleetGeneration)
    with pytest.raises(UserError) as caught:
        seam.generate([[1, 2]], [["an image"]], 1)
    assert caught.value.failure.reason == "InvalidRecipe"
    assert str(caught.value) == (
        "spec.recipe.dataset_name or dataset_mixture: the prompts come with images (column image or images), and "
        "generators take text only; name a data set of text, or list the columns to keep in an entry of dataset_mixture."
    )
