"""What the API server makes of a manifest before it judges it: unknown fields and nulls go, defaults come."""

from typing import Any, Final

from grpo_operator.api.schema import Schema

OPEN: Final = "x-kubernetes-preserve-unknown-fields"


def as_stored(value: Any, schema: Schema) -> Any:
    if isinstance(value, dict):
        return _object(value, schema)
    if isinstance(value, list) and "items" in schema:
        return [as_stored(item, schema["items"]) for item in value]
    return value


def _object(value: dict[str, Any], schema: Schema) -> dict[str, Any]:
    if "additionalProperties" in schema:
        return {key: as_stored(entry, schema["additionalProperties"]) for key, entry in value.items()}
    properties: dict[str, Schema] = schema.get("properties", {})
    kept = {key: entry for key, entry in value.items() if _stays(key, entry, schema)}
    filled = {key: entry["default"] for key, entry in properties.items() if "default" in entry and key not in kept}
    return {key: as_stored(entry, properties.get(key, {OPEN: True})) for key, entry in (kept | filled).items()}


def _stays(key: str, value: Any, schema: Schema) -> bool:
    known = schema.get("properties", {})
    if key not in known:
        return is_open(schema)
    return value is not None or bool(known[key].get("nullable"))


def is_open(schema: Schema) -> bool:
    """Whether it may hold keys that it does not name. What has no keys at all is judged by whoever reads it."""
    return bool(schema.get(OPEN)) or not schema.keys() & {"properties", "additionalProperties"}


def as_typed(value: Any, schema: Schema) -> Any:
    """As rules in CEL get it: where the schema says number, 1 is 1.0."""
    if isinstance(value, dict):
        inner: dict[str, Schema] = schema.get("properties", {})
        return {key: as_typed(entry, inner.get(key, {})) for key, entry in value.items()}
    if isinstance(value, list):
        return [as_typed(item, schema.get("items", {})) for item in value]
    if schema.get("type") == "number" and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return value
