"""What the schema refuses, as one sentence with field, value and remedy."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

import yaml

from grpo_cli.kubectl_yaml import Loader
from grpo_cli.paths import RECIPE
from grpo_contract.recipe.old_keys import OLD_KEYS
from grpo_contract.recipe.owned_keys import OWNED_KEYS, owned_keys
from grpo_contract.recipe.unknown_keys import IN_RECIPES, remedy_for, unknown_key
from grpo_contract.rewards import without_secret
from grpo_operator.api.core_types import POSITIVE_QUANTITY, QUANTITY

OF_RUNS: Final = "field in a GRPORun"
KINDS: Final = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "keys and values",
}
PYTHON: Final[dict[str, tuple[type, ...]]] = {"integer": (int,), "number": (int, float), "boolean": (bool,)}
LONGEST: Final = 60
"""Characters of a value that are repeated."""
SECRETS: Final = {
    f"{RECIPE}.{name}": owned_keys({key: True})[0]
    for key, owned in OWNED_KEYS.items()
    for name in (key, *(old for old, entry in OLD_KEYS.items() if entry.becomes == key))
    if owned.secret
}
"""Of keys whose value must not be repeated: what is said of any value."""
OF_URLS: Final = (f"{RECIPE}.reward_funcs", "spec.rewards.perGroup")
"""Of lists whose entries may hold a secret."""


@dataclass(frozen=True)
class Misfit:
    keyword: str
    """Of the schema."""
    wanted: Any
    """What the schema says there."""
    value: Any
    is_exclusive: bool = False
    """Of a minimum: it is itself too small; of a maximum, too large."""


def sentence_of(field: str, misfit: Misfit) -> str:
    if field in SECRETS:
        return SECRETS[field]
    write = SENTENCES.get(misfit.keyword)
    assert write is not None, f"{field}: no sentence for {misfit.keyword}"
    if field.partition("[")[0] in OF_URLS:
        misfit = replace(misfit, value=without_secrets(misfit.value))
    return write(field, misfit)


def without_secrets(value: Any) -> Any:
    """Whatever stands where a URL may."""
    if isinstance(value, dict):
        return {without_secrets(key): without_secrets(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [without_secrets(inner) for inner in value]
    return without_secret(value) if isinstance(value, str) else value


def shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


def _unknown(field: str, misfit: Misfit) -> str:
    path, _, key = field.rpartition(".")
    return unknown_key(path, key, misfit.wanted, IN_RECIPES if path.startswith(RECIPE) else OF_RUNS)


def _missing(field: str, misfit: Misfit) -> str:
    return f"{field} is missing; add it."


def _not_finite(field: str, misfit: Misfit) -> str:
    return f"{field} is {shown(misfit.value)}, for which JSON, and so Kubernetes, has no word; set it to a number."


def _type(field: str, misfit: Misfit) -> str:
    kind = str(misfit.wanted)
    return f"{field} is {shown(misfit.value)}, but it takes {KINDS[kind]}; {_remedy(kind, misfit.value)}."


def _remedy(kind: str, value: Any) -> str:
    if kind == "string":
        return f"put it in quotes, as in {_quoted(value)}" if not isinstance(value, dict | list) else "correct it"
    if isinstance(value, str) and _means(kind, value):
        return "leave out the quotes"
    if kind == "array" and not isinstance(value, dict):
        return f"write it as [{value}]"
    if kind == "integer" and isinstance(value, float):
        return "round it"
    return "correct it"


def _quoted(value: Any) -> str:
    """YAML 1.1 takes no, off and n for false."""
    return {False: '"no"', True: '"yes"'}[value] if isinstance(value, bool) else f'"{value}"'


def _means(kind: str, text: str) -> bool:
    if kind not in PYTHON:
        return False
    try:
        value = yaml.load(text, Loader)  # noqa: S506 (a SafeLoader)
    except yaml.YAMLError:
        return False
    return isinstance(value, PYTHON[kind]) and isinstance(value, bool) is (kind == "boolean")


def _int_or_string(field: str, misfit: Misfit) -> str:
    return f"{field} is {shown(misfit.value)}, but it takes a whole number or text; correct it."


def _enum(field: str, misfit: Misfit) -> str:
    values = [value if isinstance(value, str) else json.dumps(value) for value in misfit.wanted]
    remedy = remedy_for(str(misfit.value), values, "use one of them.")
    return f"{field} is {shown(misfit.value)}, which is none of {', '.join(values)}; {remedy}"


def _minimum(field: str, misfit: Misfit) -> str:
    least = misfit.wanted
    remedy = f"more than {least}" if misfit.is_exclusive else f"{least} or more"
    return f"{field} is {shown(misfit.value)}, which is too small; set it to {remedy}."


def _maximum(field: str, misfit: Misfit) -> str:
    most = misfit.wanted
    remedy = f"less than {most}" if misfit.is_exclusive else f"{most} or less"
    return f"{field} is {shown(misfit.value)}, which is too large; set it to {remedy}."


def _too_short(field: str, misfit: Misfit) -> str:
    return f"{field} is empty; fill it in or leave it out."


def _too_long(field: str, misfit: Misfit) -> str:
    most = misfit.wanted
    return f"{field} has {len(misfit.value)} characters, and {most} is the most; shorten it."


def _too_few(field: str, misfit: Misfit) -> str:
    return f"{field} has {len(misfit.value)} entries; list {misfit.wanted} or more."


def _too_many(field: str, misfit: Misfit) -> str:
    return f"{field} has {len(misfit.value)} entries; list {misfit.wanted} or less."


def _pattern(field: str, misfit: Misfit) -> str:
    examples = {QUANTITY: "500m, 2 or 16Gi", POSITIVE_QUANTITY: "500Mi or 16Gi, above 0"}
    return f"{field} is {shown(misfit.value)}, which is no quantity; write it as in {examples[misfit.wanted]}."


def _twice(field: str, misfit: Misfit) -> str:
    names = " ".join(str(misfit.value.get(key)) for key in misfit.wanted)  # a value may be secret
    return f"{field} is called {names!r}, as an entry before it is; keep one of them."


SENTENCES: Final[dict[str, Callable[[str, Misfit], str]]] = {
    "unknown": _unknown,
    "required": _missing,
    "finite": _not_finite,
    "type": _type,
    "x-kubernetes-int-or-string": _int_or_string,
    "enum": _enum,
    "minimum": _minimum,
    "maximum": _maximum,
    "minLength": _too_short,
    "maxLength": _too_long,
    "minItems": _too_few,
    "maxItems": _too_many,
    "pattern": _pattern,
    "x-kubernetes-list-map-keys": _twice,
}
