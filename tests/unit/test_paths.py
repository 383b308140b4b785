"""What a recipe calls a model or a data set: a path in the pod, an id on the hub, or a path that is refused."""

import re

import pytest

from grpo_contract.paths import RELATIVE, is_path


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("/volume/model", "path"),
        ("/", "path"),
        ("Qwen/Qwen2.5-1.5B-Instruct", "id"),
        ("gpt2", "id"),
        (".", "refused"),
        ("./model", "refused"),
        ("../model", "refused"),
        (".cache/model", "refused"),
        ("~/model", "refused"),
        ("models/qwen/1.5b", "refused"),
    ],
)
def test_a_name_is_of_one_kind(name: str, kind: str) -> None:
    kinds = {"path": is_path(name), "refused": re.match(RELATIVE, name) is not None}
    assert [found for found, holds in kinds.items() if holds] == ([] if kind == "id" else [kind])
