"""From pydantic's JSON schema to Kubernetes' structural schema. Pure; knows nothing of GRPORuns.

A structural schema has no references and one type per field. "Optional" is said by absence there, not by null; a field
that may hold null nevertheless says `nullable` itself.
"""

from typing import Any, Final

from pydantic import BaseModel

Schema = dict[str, Any]

_KEPT: Final = frozenset(
    {"type", "format", "description", "enum", "pattern", "nullable",
     "minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems"}
)  # fmt: skip
_EXTENSION: Final = "x-kubernetes-"
PRESERVE: Final[Schema] = {"x-kubernetes-preserve-unknown-fields": True}


def structural_schema(model: type[BaseModel], *, defaults: bool) -> Schema:
    """`defaults` False leaves out default values: of a status, which its writer fills in completely or not at all."""
    schema = model.model_json_schema(by_alias=True)
    return _Converter(schema.pop("$defs", {}), defaults).convert(schema)


class _Converter:
    def __init__(self, definitions: dict[str, Schema], defaults: bool) -> None:
        self._definitions = definitions
        self._defaults = defaults

    def convert(self, schema: Schema) -> Schema:
        schema = self._flat(schema)
        kept = {key: value for key, value in schema.items() if key in _KEPT or key.startswith(_EXTENSION)}
        if "description" in kept:
            kept["description"] = " ".join(kept["description"].split())
        if "exclusiveMinimum" in schema:
            kept |= {"minimum": schema["exclusiveMinimum"], "exclusiveMinimum": True}
        if "properties" in schema:
            kept["properties"] = {name: self.convert(entry) for name, entry in schema["properties"].items()}
            if required := schema.get("required"):
                kept["required"] = list(required)
        kept |= self._children(schema)
        return kept | self._default(schema, kept)

    def _flat(self, schema: Schema) -> Schema:
        """Without references and without null; what stands beside a reference wins over what it refers to."""
        if "$ref" in schema:
            target = self._definitions[schema["$ref"].removeprefix("#/$defs/")]
            return self._flat(target | {key: value for key, value in schema.items() if key != "$ref"})
        if "anyOf" in schema:
            (only,) = (option for option in schema["anyOf"] if option != {"type": "null"})
            return self._flat(only | {key: value for key, value in schema.items() if key != "anyOf"})
        return schema

    def _children(self, schema: Schema) -> Schema:
        if "items" in schema:
            return {"items": self.convert(schema["items"])}
        match schema.get("additionalProperties"):
            case True:
                return dict(PRESERVE)
            case dict() as values:
                return {"additionalProperties": self.convert(values)}
        return {}

    def _default(self, schema: Schema, converted: Schema) -> Schema:
        if not self._defaults or schema.get("default") is None:
            return {}
        if "properties" in converted:
            # An absent object must appear for the defaults within it to hold, and rules judge the default as it stands.
            inner = {name: entry["default"] for name, entry in converted["properties"].items() if "default" in entry}
            return {"default": inner} if inner else {}
        return {} if schema["default"] in ({}, [], "") else {"default": schema["default"]}
