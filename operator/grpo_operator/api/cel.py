"""How rules in CEL are written down. Pure text; knows nothing of GRPORuns but that a recipe's key may hold null.

CEL has optional values (`self.?key.orValue(8)`), but comparing them exceeds the API server's cost limit.
"""

from dataclasses import dataclass
from typing import Final

Path = tuple[str, ...]
"""Where in the object; "[]" is an item of a list."""

_LABEL: Final = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN: Final = f"^{_LABEL}([.]{_LABEL})*$"
"""RFC 1123, as the API server checks names of objects."""


@dataclass(frozen=True)
class Rule:
    """One entry of x-kubernetes-validations. In `sentence`, a CEL expression in {braces} stands for its value."""

    at: Path
    rule: str
    sentence: str
    field: str | None = None
    """The field to blame, relative to `at`; None: `at` itself."""
    forbidden: bool = False
    """The field may not change, whatever the value."""


def message_expression(sentence: str) -> str:
    """A rule's sentence as one CEL expression."""
    parts = sentence.replace("}", "{").split("{")
    constant = "'" + "%s".join(parts[::2]).replace("'", "\\'") + "'"
    # Not string() and +, for which the API server estimates unbounded costs.
    return f"{constant}.format([{', '.join(parts[1::2])}])" if parts[1::2] else constant


def present(key: str, of: str = "self") -> str:
    """Whether the key is there; null means the same as its absence."""
    return f"(has({of}.{key}) && dyn({of}.{key}) != null)"


def value_of(key: str, default: str, of: str = "self") -> str:
    return f"({present(key, of)} ? {of}.{key} : {default})"


def name_rule(at: Path, key: str, what: str) -> Rule:
    """The name of an object, where there is one."""
    return Rule(
        at,
        f"!has(self.{key}) || self.{key}.matches('{_SUBDOMAIN}')",  # CEL's format library is younger than Kubernetes 1.30
        f"{'.'.join((*at, key)).replace('.[]', '[]')} is '{{self.{key}}}', which can be no name of a {what}: a name has "
        "lower-case letters, digits, '-' and '.', and begins and ends with a letter or a digit; correct it.",
        f".{key}",
    )
