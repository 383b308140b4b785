"""generation_kwargs that vLLM would not see, and neighbours that it sees."""

from typing import Any

import pytest

from grpo_contract.recipe.sampling import sampling_mistake

LOST: list[tuple[dict[str, Any], str]] = [
    ({"foo": 1}, "holds foo, which vLLM does not take; leave it out."),
    (
        {"min_tokenz": 3},
        "holds min_tokenz, which vLLM does not take; did you mean min_tokens? Else leave it out.",
    ),
    (
        {"seed": 7, "presence_penality": 0.5},
        "holds presence_penality, which vLLM does not take; did you mean presence_penalty? Else leave it out.",
    ),
    ({"do_sample": True}, "holds do_sample, which vLLM does not take; leave it out."),
]
OWN: list[tuple[dict[str, Any], str]] = [
    ({"n": 2}, "holds n, which learners set themselves in each request; leave it out."),
    ({"seed": 7, "stream": True}, "holds stream, which learners set themselves in each request; leave it out."),
]
SEEN: list[dict[str, Any] | None] = [None, {}, {"seed": 7}, {"stop": ["</answer>"], "min_tokens": 5}]


@pytest.mark.parametrize(("arguments", "sentence"), [*LOST, *OWN])
def test_arguments_that_vllm_would_lose_or_learners_set(arguments: dict[str, Any], sentence: str) -> None:
    assert sampling_mistake({"generation_kwargs": arguments}) == f"spec.recipe.generation_kwargs {sentence}"


@pytest.mark.parametrize("arguments", SEEN)
def test_arguments_that_it_takes(arguments: dict[str, Any] | None) -> None:
    assert sampling_mistake({"generation_kwargs": arguments}) is None
