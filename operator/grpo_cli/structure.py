"""Unknown keys, types, ranges, enums: a manifest against the CRD's schema, which jsonschema reads as it is.

A structural schema is nearly JSON Schema of draft 4. What differs are `nullable`, closed objects and the x-kubernetes
extensions: keywords of Kubernetes' own, added to jsonschema's here.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any, Final

from jsonschema import Draft4Validator
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend

from grpo_cli.finding import Finding, error
from grpo_cli.paths import path_of
from grpo_cli.sentences import Misfit, sentence_of
from grpo_cli.stored import is_open
from grpo_operator.api.schema import Schema

RANK: Final = ("unknown", "finite", "type", "x-kubernetes-int-or-string")
"""Of several complaints about one value, the first of these is the cause."""

Errors = Iterator[ValidationError]


def misfits(run: Mapping[str, Any], schema: Schema) -> list[Finding]:
    """`run` as it was written. Nulls count as absence here: the API server drops them, or they are allowed."""
    first: dict[str, ValidationError] = {}
    for complaint in sorted([*_not_finite(run), *_Validator(schema).iter_errors(run)], key=_rank):
        first.setdefault(field_of(complaint), complaint)
    return [error(field, sentence_of(field, misfit_of(complaint))) for field, complaint in first.items()]


def _not_finite(value: Any, path: tuple[str | int, ...] = ()) -> Errors:
    """YAML has words for them that JSON has not: kubectl would refuse to read the file, and say of neither key nor line."""
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, entry in entries:
        yield from _not_finite(entry, (*path, key))
    if isinstance(value, float) and not math.isfinite(value):
        yield ValidationError("not finite", validator="finite", path=path, instance=value)


def misfit_of(complaint: ValidationError) -> Misfit:
    keyword = str(complaint.validator)
    schema = complaint.schema if isinstance(complaint.schema, dict) else {}
    exclusive = bool(schema.get({"minimum": "exclusiveMinimum", "maximum": "exclusiveMaximum"}.get(keyword)))
    return Misfit(keyword, complaint.validator_value, complaint.instance, exclusive)


def field_of(complaint: ValidationError) -> str:
    """Of an unknown or a missing key, the key itself."""
    key = (complaint.message,) if complaint.validator in ("unknown", "required") else ()
    return path_of((*complaint.absolute_path, *key))


def _rank(complaint: ValidationError) -> int:
    keyword = str(complaint.validator)
    return RANK.index(keyword) if keyword in RANK else len(RANK)


def _properties(validator: Any, properties: Mapping[str, Schema], instance: Any, schema: Schema) -> Errors:
    if not isinstance(instance, dict):
        return
    for key, value in instance.items():
        if key in properties:
            if value is not None:
                yield from validator.descend(value, properties[key], path=key, schema_path=key)
        elif not is_open(schema):
            yield ValidationError(
                key, validator="unknown", validator_value=list(properties), instance=value, schema=schema
            )


def _required(validator: Any, required: list[str], instance: Any, schema: Schema) -> Errors:
    if isinstance(instance, dict):
        yield from (ValidationError(key) for key in required if instance.get(key) is None)


def _int_or_string(validator: Any, wanted: bool, instance: Any, schema: Schema) -> Errors:
    if wanted and not any(validator.is_type(instance, kind) for kind in ("integer", "string")):
        yield ValidationError("neither a whole number nor text")


def _map_keys(validator: Any, keys: list[str], instance: Any, schema: Schema) -> Errors:
    """A list whose items are told by these keys."""
    seen: list[list[Any]] = []
    for place, item in enumerate(instance if isinstance(instance, list) else ()):
        name = [item.get(key) for key in keys] if isinstance(item, dict) else [item]
        if name in seen:
            yield ValidationError("there twice", path=(place,), instance=item)
        seen.append(name)


_Validator: Final = extend(  # type: ignore[no-untyped-call]
    Draft4Validator,
    {
        "properties": _properties,
        "required": _required,
        "x-kubernetes-int-or-string": _int_or_string,
        "x-kubernetes-list-map-keys": _map_keys,
    },
)
