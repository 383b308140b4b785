"""Whatever users and pods write gets through: every character that a JSON string can hold."""

import json

import pytest
import yaml

from grpo_operator.yaml_text import yaml_text

TEXTS = {
    "beyond U+FFFF": "reward \N{ROCKET} up \U0010ffff",
    "escapes": 'a "quote", a \\ud83d\\ude00, a \t, a \r\n, a \x00 and a \x1b[0m',
    "taken escaped": "\x7f \x80 \x85 \x9f \u2028 \u2029 \ufeff \ufffe \uffff",
    "letters": "größer 数学",
}


@pytest.mark.parametrize("case", TEXTS)
def test_it_reads_the_same_as_yaml_and_as_json(case: str) -> None:
    manifest = {"message": TEXTS[case], "others": [1, None, True, 1.5, ""]}
    text = yaml_text(manifest)
    assert json.loads(text) == manifest
    assert yaml.safe_load(text) == manifest


def test_half_a_character_is_replaced() -> None:
    assert yaml.safe_load(yaml_text({"message": "a \ud83d b"})) == {"message": "a \N{REPLACEMENT CHARACTER} b"}
