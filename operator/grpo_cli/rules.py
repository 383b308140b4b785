"""The CRD's rules across fields, in CEL: the product's own strings, evaluated by Google's CEL.

Rules about changes (`oldSelf`) do not concern a run that is not there yet.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Final

from cel_expr_python import cel
from cel_expr_python.ext import ext_strings

from grpo_cli.finding import Finding, error
from grpo_cli.kubernetes_functions import kubernetes_functions
from grpo_cli.paths import overlap, values_at
from grpo_operator.api.cel import Rule, message_expression

OF_CHANGES: Final = "oldSelf"
_FIELD: Final = re.compile(r"\bself((?:\.\w+)*?)(?:\.\w+\(|(?![.\w]))")
"""In a rule: the path below `self`, without a function that is called there."""


@cache
def _environment() -> cel.Env:
    return cel.NewEnv(
        variables={"self": cel.Type.DYN},
        extensions=[ext_strings.ExtStrings()],
        functions=kubernetes_functions(),
    )


@cache
def _compiled(expression: str) -> cel.Expression:
    return _environment().compile(expression)


def value_of(expression: str, of: Any) -> Any:
    """None: it has no value, for what it looks at is of another type or not there."""
    result = _compiled(expression).eval(data={"self": of})
    return None if result.type() == cel.Type.ERROR else result.plain_value()


def broken_rules(run: Mapping[str, Any], rules: Sequence[Rule], refused: Collection[str] = ()) -> list[Finding]:
    """`run` as the API server stores it, with numbers as the schema types them. `refused`: fields that something is said
    of already, which a rule that looks at them would only repeat."""
    of_creation = [rule for rule in rules if OF_CHANGES not in rule.rule]
    return [finding for rule in of_creation for finding in _broken(run, rule, refused)]


def _broken(run: Mapping[str, Any], rule: Rule, refused: Collection[str]) -> Iterator[Finding]:
    for path, value in values_at(run, rule.at):
        if not _looks_at(path, rule, refused) and value_of(rule.rule, value) is False:
            yield error(
                f"{path}{rule.field or ''}".removeprefix("."), value_of(message_expression(rule.sentence), value)
            )


def _looks_at(path: str, rule: Rule, refused: Collection[str]) -> bool:
    fields = {f"{path}{below}".removeprefix(".") for below in _FIELD.findall(rule.rule)}
    return any(overlap(field, of) for field in fields for of in refused)
