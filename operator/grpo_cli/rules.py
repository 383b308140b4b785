"""The CRD's rules across fields, in CEL: the product's own strings, evaluated by Google's CEL.

Rules about changes (`oldSelf`) do not concern a run that is not there yet.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Final

from cel_expr_python import cel
from cel_expr_python.ext import ext_strings

from grpo_cli.finding import Finding, error
from grpo_cli.kubernetes_functions import kubernetes_functions
from grpo_cli.paths import values_at
from grpo_operator.api.cel import Rule, message_expression

OF_CHANGES: Final = "oldSelf"


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


def broken_rules(run: Mapping[str, Any], rules: Sequence[Rule]) -> list[Finding]:
    """`run` as the API server stores it, with numbers as the schema types them."""
    of_creation = [rule for rule in rules if OF_CHANGES not in rule.rule]
    return [finding for rule in of_creation for finding in _broken(run, rule)]


def _broken(run: Mapping[str, Any], rule: Rule) -> Iterator[Finding]:
    for path, value in values_at(run, rule.at):
        if value_of(rule.rule, value) is False:
            yield error(
                f"{path}{rule.field or ''}".removeprefix("."), value_of(message_expression(rule.sentence), value)
            )
