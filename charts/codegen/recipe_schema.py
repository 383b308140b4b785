"""The schema of `spec.recipe`, a property per key: `python -m codegen.recipe_schema`.

Needs the project's own types, and TRL and transformers *installed*, without what they require: it reads their source and
does not run it. The result is not yet a structural schema: `default` says what TRL does when the key is absent, and must not be filled in.
"""

import json
from typing import Any

from codegen.recipe_additions import BOUNDS, NOTES, OLD_KEY_TYPES, SAID_FIRST, TYPES, VALUES
from codegen.recipe_source import Enums, SourceField, UnknownDefault, read_enums, read_fields, read_versions
from codegen.recipe_types import ANYTHING, Schema, UnsayableError, schema_of
from grpo_contract.recipe.old_keys import OLD_KEYS
from grpo_operator.api.recipe_keys import FILE

# Objects of Python's that no YAML file can hold.
UNSAYABLE = frozenset({"parallelism_config"})


def build_recipe_schema() -> dict[str, Any]:
    enums, fields = read_enums(), read_fields(read_enums())
    check_additions(fields)
    keys = {
        name: property_of(field, enums) for name, field in fields.items() if name not in UNSAYABLE | OLD_KEYS.keys()
    }
    keys |= {key: property_of_old_key(key, keys) for key in OLD_KEYS}
    return {"versions": read_versions(), "properties": dict(sorted(keys.items()))}


def property_of_old_key(key: str, todays: dict[str, Schema]) -> Schema:
    """A renamed key takes what its name of today takes."""
    old = OLD_KEYS[key]
    schema = OLD_KEY_TYPES.get(key) or (ANYTHING if old.becomes is None else todays[old.becomes])
    kept = {name: value for name, value in schema.items() if name not in ("default", "description")}
    return kept | {"description": f"Old key: {old.action}"}


def property_of(field: SourceField, enums: Enums) -> Schema:
    """
    Raises:
        UnsayableError: the field needs an entry in TYPES or UNSAYABLE; the message names it.
    """
    try:
        schema = dict(TYPES[field.name] if field.name in TYPES else schema_of(field.annotation, enums))
    except UnsayableError as error:
        raise UnsayableError(f"{field.name}: {error}: add it to TYPES in recipe_additions.py") from error
    if values := VALUES.get(field.name, field.choices):
        schema["enum"] = list(values)
        schema.pop("nullable", None)  # the API server finds null in no enum, not even in one that lists it
    schema |= BOUNDS.get(field.name, {})
    schema["description"] = " ".join(filter(None, (SAID_FIRST.get(field.name), field.help, NOTES.get(field.name))))
    # Absent and null mean the same where null is the default, so that there is nothing to tell.
    if field.default is not UnknownDefault and field.default is not None:
        schema["default"] = field.default
    return schema


def check_additions(fields: dict[str, SourceField]) -> None:
    """The hand-written tables must not outlive what they add to."""
    for name in TYPES.keys() | VALUES.keys() | BOUNDS.keys() | SAID_FIRST.keys() | NOTES.keys() | UNSAYABLE:
        assert name in fields, f"{name} is in recipe_additions.py, but no dataclass has it any more"
    for name, old in OLD_KEYS.items():
        assert name not in fields or old.becomes == name, f"{name} is in OLD_KEYS, but a dataclass has it"
    for name, values in VALUES.items():
        gone = [value for value in values if value not in fields[name].help]
        assert not gone, f"{name}: the help text does not name {gone}; see VALUES in recipe_additions.py"


if __name__ == "__main__":
    FILE.write_text(json.dumps(build_recipe_schema(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
