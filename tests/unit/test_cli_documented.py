"""docs/cli.md shows what the command prints."""

import json
import shlex
from pathlib import Path

import pytest

from grpo_cli.main import build_parser, main
from harness.documents import DOCUMENTS, FENCED, commands
from unit.test_cli_memory import QWEN

PAGE = DOCUMENTS["docs/cli.md"]
RECIPE, OUTPUT = FENCED.findall(PAGE)
COMMAND = next(words for words in commands(PAGE) if words[:3] == ["kubectl", "grpo", "check"])


def test_the_output_is_real(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    (tmp_path / "config.json").write_text(json.dumps(QWEN))
    monkeypatch.chdir(tmp_path)
    assert main(COMMAND[2:]) == 0
    assert capsys.readouterr().out == OUTPUT


def test_every_command_that_is_shown_can_be_typed() -> None:
    shown = [words for text in DOCUMENTS.values() for words in commands(text) if words[:2] == ["kubectl", "grpo"]]
    typed = [shlex.join(words[2:]).partition(" '|'")[0].partition(" '>'")[0] for words in shown]
    assert len(typed) >= 5
    for words in typed:
        if words != "--help":
            build_parser().parse_args(shlex.split(words))


def test_every_option_of_check_is_explained() -> None:
    (actions,) = (action for action in build_parser()._actions if action.choices)
    options = {option for action in actions.choices["check"]._actions for option in action.option_strings}  # type: ignore[index]
    assert {option for option in options if f"`{option}" not in PAGE} == {"-h", "--help", "--output"}
