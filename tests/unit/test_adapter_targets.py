"""lora_target_modules that no model has, and neighbours that one may have."""

import json
from typing import Any

import pytest

from grpo_contract.recipe.adapter_targets import targets_mistake

REMEDY = r"name linear modules of the model, as in [q_proj, v_proj], or one alone by a pattern, as in .*\.q_proj, or all-linear"
TEXT = "text, as well as a list of one, is a pattern"
NO_PATH = f"{TEXT} of a module's whole path, and none matches this one"
REFUSED: list[tuple[Any, str]] = [
    ("q_proj", NO_PATH),
    (["q_proj"], NO_PATH),
    ("q_proj,v_proj", NO_PATH),
    ("(q_proj|v_proj)", NO_PATH),
    ("", NO_PATH),
    ("*_proj", f"{TEXT}, which this is not (nothing to repeat at position 0)"),
    ("(.*q_proj", f"{TEXT}, which this is not (missing ), unterminated subpattern at position 0)"),
    ("a{4294967295}.", f"{TEXT}, which this is not (the repetition number is too large)"),
    (["q_proj", "embed_tokens"], "embed_tokens is no linear module and cannot be merged for generators"),
    (["model.embed_tokens"], "embed_tokens is no linear module and cannot be merged for generators"),
    (["lm_head", "q_proj"], "lm_head is the head, whose weight TRL takes without an adapter"),
    ("lm_head", "lm_head is the head, whose weight TRL takes without an adapter"),
    ([], "it names no modules"),
    (5, "it names no modules"),
    (True, "it names no modules"),
    (["q_proj", 5], "it names no modules"),
    ({"q_proj": 8}, "it names no modules"),
]
ACCEPTED: list[Any] = [
    None, "all-linear", "ALL-LINEAR", ["all-linear"], ["q_proj", "v_proj"], r".*\.q_proj", [r".*\.q_proj"], r".*\.(q|v)_proj",
    "model.layers.0.self_attn.q_proj", r"\S+q_proj", "[^x]*q_proj", ["no_such_proj", "q_proj"],
]  # fmt: skip


@pytest.mark.parametrize(("modules", "reason"), REFUSED, ids=lambda value: str(value)[:20])
def test_what_no_model_has(modules: Any, reason: str) -> None:
    recipe = {"use_peft": True, "lora_target_modules": modules}
    assert (
        targets_mistake(recipe) == f"spec.recipe.lora_target_modules is {json.dumps(modules)}, but {reason}; {REMEDY}."
    )
    assert targets_mistake({"lora_target_modules": modules}) is None


@pytest.mark.parametrize("modules", ACCEPTED, ids=str)
def test_what_one_may_have(modules: Any) -> None:
    assert targets_mistake({"use_peft": True, "lora_target_modules": modules}) is None


def test_a_pattern_that_is_too_deep() -> None:
    sentence = targets_mistake({"use_peft": True, "lora_target_modules": "(" * 10000 + "."})
    assert "which this is not (maximum recursion depth exceeded" in (sentence or "")
