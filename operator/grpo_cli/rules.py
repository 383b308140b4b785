"""The CRD's rules across fields, in CEL: the product's own strings, evaluated by Google's CEL.

Rules about changes (`oldSelf`) do not concern a run that is not there yet.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from cel_expr_python import cel
from cel_expr_python.ext import ext_strings

from grpo_cli.finding import Finding, error
from grpo_cli.kubernetes_functions import kubernetes_functions
from grpo_cli.paths import values_at
from grpo_operator.api.cel import Rule, message_expression

OF_CHANGES: Final = "oldSelf"


class Evaluator:
    def __init__(self) -> None:
        self._environment = cel.NewEnv(
            variables={"self": cel.Type.DYN},
            extensions=[ext_strings.ExtStrings()],
            functions=kubernetes_functions(),
        )

    def value(self, expression: str, of: Any) -> Any:
        """None: it has no value, for what it looks at is of another type or not there."""
        result = self._environment.compile(expression).eval(data={"self": of})
        return None if result.type() == cel.Type.ERROR else result.plain_value()


def broken_rules(run: Mapping[str, Any], rules: Sequence[Rule]) -> list[Finding]:
    """`run` as the API server stores it, with numbers as the schema types them."""
    return list(_broken(run, [rule for rule in rules if OF_CHANGES not in rule.rule], Evaluator()))


def _broken(run: Mapping[str, Any], rules: Sequence[Rule], evaluator: Evaluator) -> Iterator[Finding]:
    for rule in rules:
        for path, value in values_at(run, rule.at):
            if evaluator.value(rule.rule, value) is False:
                field = f"{path}{rule.field or ''}"
                yield error(field, evaluator.value(message_expression(rule.sentence), value))
