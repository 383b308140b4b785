"""Reading dataclasses from source: what a field of TRL's looks like, and what is made of it."""

import ast
from typing import Any

import pytest

from codegen.recipe_source import SourceField, UnknownDefault, class_named, enums_of, fields_of
from codegen.recipe_types import ANYTHING, INTEGER_OR_STRING, OBJECT, UnsayableError, schema_of

SOURCE = '''
class Strategy(ExplicitEnum):
    """Text."""
    NO = "no"
    STEPS = "steps"

class Number(Enum):
    ONE = 1

class Config(Base):
    _VALID: ClassVar[list[str]] = ["a"]
    a: int = field(default=8, metadata={"help": "Twenty %% of\\n   two words."})
    b: Strategy | str = field(default=Strategy.STEPS, metadata={"help": "One of: " + ", ".join(names)})
    c: list[str] = field(default_factory=list, metadata={"help": "C.", "choices": ["x", "y"]})
    d: float | None = None
    e: str = field(default=computed, metadata={"help": "E.", "choices": names.keys()})
    f: bool
'''
ENUMS = {"Strategy": {"NO": "no", "STEPS": "steps"}}


@pytest.fixture
def fields() -> dict[str, SourceField]:
    return {field.name: field for field in fields_of(class_named(ast.parse(SOURCE), "Config"), ENUMS)}


def test_enums_of_strings() -> None:
    assert enums_of(ast.parse(SOURCE)) == ENUMS


def test_fields(fields: dict[str, SourceField]) -> None:
    assert {name: (field.default, field.help, field.choices) for name, field in fields.items()} == {
        "a": (8, "Twenty % of two words.", None),
        "b": ("steps", "One of: ,", None),
        "c": (UnknownDefault, "C.", ["x", "y"]),
        "d": (None, "", None),
        "e": (UnknownDefault, "E.", None),
        "f": (UnknownDefault, "", None),
    }


@pytest.mark.parametrize(
    ("annotation", "schema"),
    [
        ("int", {"type": "integer"}),
        ("float", {"type": "number"}),
        ("bool | None", {"type": "boolean", "nullable": True}),
        ("Optional[str]", {"type": "string", "nullable": True}),
        ("list[float] | None", {"type": "array", "items": {"type": "number"}, "nullable": True}),
        ("dict[str, Any] | str | None", OBJECT | {"nullable": True}),
        ("dict | str", OBJECT),
        ("int | str", INTEGER_OR_STRING),
        ("None | str | list[str]", ANYTHING | {"nullable": True}),
        ("Union[str, None, Literal[False]]", ANYTHING | {"nullable": True}),
        ("'Strategy | str'", {"type": "string", "enum": ["no", "steps"]}),
        ("Strategy", {"type": "string", "enum": ["no", "steps"]}),
    ],
)
def test_schema_of(annotation: str, schema: dict[str, Any]) -> None:
    assert schema_of(ast.parse(annotation, mode="eval").body, ENUMS) == schema


@pytest.mark.parametrize("annotation", ["ParallelismConfig | None", "int | list[int]", "Number"])
def test_what_nobody_has_decided_about_is_refused(annotation: str) -> None:
    with pytest.raises(UnsayableError, match=r"ParallelismConfig|list\[int\]|Number"):
        schema_of(ast.parse(annotation, mode="eval").body, ENUMS)
