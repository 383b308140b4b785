"""From pydantic's JSON schema to a structural schema."""

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, WithJsonSchema

from grpo_operator.api.run import GRPORun
from grpo_operator.api.schema import structural_schema
from unit.desired_inputs import make_run


class Colour(StrEnum):
    """A colour."""

    RED = "red"
    BLUE = "blue"


class Inner(BaseModel):
    """Inner text,
    on two lines."""

    count: Annotated[int, Field(ge=1, description="How many.")] = 3
    share: Annotated[float | None, Field(gt=0, le=1)] = None


class Outer(BaseModel):
    inner: Inner = Inner()
    named: Annotated[Inner, Field(description="The field's own text.")]
    maybe: Inner | None = None
    or_null: Annotated[int | None, Field(json_schema_extra={"nullable": True})] = 1
    colour: Colour = Colour.RED
    mode: Literal["a", "b"] = "a"
    words: Annotated[list[str], Field(min_length=1, max_length=2)] = ["x"]
    none_yet: list[Inner] = []
    labels: dict[str, str] = {}
    anything: dict[str, Any] = {}
    given: Annotated[dict[str, Any], WithJsonSchema({"type": "object", "x-kubernetes-embedded-resource": True})] = {}
    flag: bool = False


INNER = {
    "type": "object",
    "description": "Inner text, on two lines.",
    "properties": {
        "count": {"type": "integer", "description": "How many.", "minimum": 1, "default": 3},
        "share": {"type": "number", "minimum": 0, "exclusiveMinimum": True, "maximum": 1},
    },
}


def properties(*, defaults: bool = True) -> dict[str, Any]:
    found: dict[str, Any] = structural_schema(Outer, defaults=defaults)["properties"]
    return found


def test_references_are_replaced_and_objects_default_to_their_defaults() -> None:
    assert properties()["inner"] == INNER | {"default": {"count": 3}}


def test_the_fields_text_wins_over_the_types() -> None:
    assert properties()["named"] == INNER | {"description": "The field's own text."}


def test_null_is_absence_unless_the_field_says_otherwise() -> None:
    assert properties()["maybe"] == INNER
    assert properties(defaults=False)["or_null"] == {"type": "integer", "nullable": True}


def test_enums_and_lists() -> None:
    found = properties()
    assert found["colour"] == {"type": "string", "enum": ["red", "blue"], "description": "A colour.", "default": "red"}
    assert found["mode"] == {"type": "string", "enum": ["a", "b"], "default": "a"}
    assert found["words"] == {
        "type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 2, "default": ["x"],
    }  # fmt: skip


def test_an_empty_default_is_absence() -> None:
    assert properties()["none_yet"] == {"type": "array", "items": INNER}
    assert properties()["labels"] == {"type": "object", "additionalProperties": {"type": "string"}}


def test_free_objects_and_given_schemas() -> None:
    assert properties()["anything"] == {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    assert properties()["given"] == {"type": "object", "x-kubernetes-embedded-resource": True}


def test_false_is_a_default() -> None:
    assert properties()["flag"] == {"type": "boolean", "default": False}


def test_required_fields() -> None:
    assert structural_schema(Outer, defaults=True)["required"] == ["named"]


def test_without_defaults() -> None:
    assert "default" not in str(properties(defaults=False))


def test_what_a_newer_crd_or_operator_has_added_is_passed_over() -> None:
    run = make_run().model_dump(by_alias=True)
    learners, progress = run["spec"]["learners"] | {"newer": 1}, {"step": 3, "newer": 1}
    spec = run["spec"] | {"learners": learners, "newer": {"a": 1}}
    parsed = GRPORun.parse(run | {"spec": spec, "status": {"progress": progress}})
    assert parsed.spec == make_run().spec
    assert parsed.status.progress.step == 3
