"""What is told of a reward's module before it is imported, and what is left to the import."""

from pathlib import Path

import pytest

from grpo_trainer.rewards.module_source import file_of, may_hold

PLAIN = """
import os.path, json as js
from math import floor as down
LIMIT: int = 3
def brevity(completions): ...
class Judge: ...
if LIMIT:
    def late(completions): ...
with open(os.devnull) as handle: ...
for each in (): ...
(walrus := 1)
def outer():
    global made
    made = brevity
match LIMIT:
    case caught: ...
"""
NAMES = ["brevity", "os", "js", "down", "LIMIT", "Judge", "late", "handle", "each", "walrus", "made", "caught"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "plain.py").write_text(PLAIN)
    (tmp_path / "team" / "style").mkdir(parents=True)
    (tmp_path / "team" / "__init__.py").touch()
    (tmp_path / "team" / "style" / "tone.py").write_text("polite = print\n")
    return tmp_path


@pytest.mark.parametrize("name", NAMES)
def test_names_that_a_module_binds(folder: Path, name: str) -> None:
    assert may_hold(name, folder / "plain.py")


@pytest.mark.parametrize("name", ["brevty", "path", "floor2", "Brevity"])
def test_names_that_a_module_cannot_have(folder: Path, name: str) -> None:
    assert not may_hold(name, folder / "plain.py")


@pytest.mark.parametrize(
    "line",
    [
        "from os import *",
        "globals()['a' + 'b'] = 1",
        "locals()['a' + 'b'] = 1",
        "vars()['a' + 'b'] = 1",
        "Judge.__dict__.update(a=1)",
        "setattr(Judge, 'a' + 'b', 1)",
        "def __getattr__(name): ...",
        "exec(open('x').read())",
        "eval('a' + 'b')",
        "import sys; sys.modules[__name__] = Judge()",
    ],
)
def test_names_that_nobody_can_tell(folder: Path, line: str) -> None:
    (folder / "plain.py").write_text(f"{PLAIN}{line}\n")
    assert may_hold("brevty", folder / "plain.py")


@pytest.mark.parametrize(
    ("source", "error"), [("def brevity(\n", SyntaxError), ("a = 1\n\0", (SyntaxError, ValueError))]
)
def test_source_that_cannot_be_read(folder: Path, source: str, error: type[Exception]) -> None:
    (folder / "plain.py").write_text(source)
    with pytest.raises(error):
        may_hold("brevity", folder / "plain.py")


def test_where_a_module_lies(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    earlier = tmp_path_factory.mktemp("earlier")
    assert file_of("plain", [folder]) == folder / "plain.py"
    assert file_of("team", [folder]) == folder / "team" / "__init__.py"
    assert file_of("team.style.tone", [folder]) == folder / "team" / "style" / "tone.py"
    (earlier / "plain.py").touch()
    assert file_of("plain", [earlier, folder]) == earlier / "plain.py"


@pytest.mark.parametrize("module", ["team.voice", "nowhere", "builtins", "math", "team.style"])
def test_what_has_no_plain_source(folder: Path, module: str) -> None:
    """A folder without __init__ among them."""
    assert file_of(module, [folder]) is None
