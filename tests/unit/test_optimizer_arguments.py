"""optim_args that transformers cannot read, and neighbours that it reads."""

import pytest

from grpo_contract.recipe.optimizer_arguments import optimizer_mistake

UNREADABLE = ["rank:64", "betas=(0.9,0.95)", "rank=64,", "rank=64;scale=0.25", "rank"]
READABLE = ["rank=64", "rank=64, scale=0.25", ""]


@pytest.mark.parametrize("text", UNREADABLE)
def test_what_cannot_be_read(text: str) -> None:
    assert optimizer_mistake({"optim_args": text}) == (
        f"spec.recipe.optim_args is '{text}', but it takes key=value, with a comma between two; write it as in "
        "rank=64,scale=0.25."
    )


@pytest.mark.parametrize("text", [*READABLE, None])
def test_what_can_be_read(text: str | None) -> None:
    assert optimizer_mistake({"optim_args": text}) is None
