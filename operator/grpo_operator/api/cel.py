"""How rules in CEL are written down. Pure text; knows nothing of GRPORuns but that a recipe's key may hold null.

CEL has optional values (`self.?key.orValue(8)`), but comparing them exceeds the API server's cost limit.
"""

import re
from dataclasses import dataclass
from typing import Final

Path = tuple[str, ...]
"""Where in the object; "[]" is an item of a list."""

ROOT: Final[Path] = ()

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


def at_root(rule: Rule, exempt: str) -> Rule:
    """The same rule, with the same field to blame, where the whole run is `self`; it holds where `exempt` is true."""
    above = ".".join(("self", *rule.at, ""))

    def moved(text: str) -> str:
        return re.sub(r"\bself\.", above, text)

    where = "".join(f".{name}" for name in rule.at)
    return Rule(
        ROOT, f"{exempt} || ({moved(rule.rule)})", moved(rule.sentence), f"{where}{rule.field or ''}", rule.forbidden
    )


def name_rule(at: Path, key: str, what: str) -> Rule:
    """The name of an object, where there is one."""
    return Rule(
        at,
        f"!has(self.{key}) || self.{key}.matches('{_SUBDOMAIN}')",  # CEL's format library is younger than Kubernetes 1.30
        f"{'.'.join((*at, key)).replace('.[]', '[]')} is '{{self.{key}}}', which can be no name of a {what}: a name has "
        "lower-case letters, digits, '-' and '.', and begins and ends with a letter or a digit; correct it.",
        f".{key}",
    )
