"""The contract's table of a completion request's fields against vLLM itself."""

from typing import Any

import pytest
from vllm.entrypoints.openai.completion.protocol import CompletionRequest

from grpo_contract.recipe.sampling import FIELDS, OWN
from unit.test_sampling import LOST, SEEN


def test_the_fields_are_those_of_a_request() -> None:
    assert set(FIELDS) == CompletionRequest.model_fields.keys()
    assert set(FIELDS) > OWN


@pytest.mark.parametrize(("arguments", "_"), LOST)
def test_what_is_refused_vllm_loses(arguments: dict[str, Any], _: str) -> None:
    assert CompletionRequest(prompt=[1], **arguments).model_extra == {
        name: value for name, value in arguments.items() if name not in FIELDS
    }


@pytest.mark.parametrize("arguments", SEEN)
def test_what_is_taken_vllm_sees(arguments: dict[str, Any] | None) -> None:
    assert CompletionRequest(prompt=[1], **(arguments or {})).model_extra == {}
