"""The functions that Kubernetes adds to CEL, as far as the CRD's rules use them.

https://kubernetes.io/docs/reference/using-api/cel/#kubernetes-cel-libraries
"""

import re
from typing import Any

from cel_expr_python import cel

from grpo_operator.api.core_types import QUANTITY
from grpo_operator.api.quantity import quantity


def is_quantity(text: str) -> bool:
    return re.search(QUANTITY, text) is not None


def rounded_quantity(text: str) -> float:
    """A rule asks whether it is more than nothing, for which a double will do."""
    return float(quantity(text))


def kubernetes_functions() -> list[cel.FunctionDecl]:
    kind = cel.Type  # a quantity is a number here
    return [
        _function("isQuantity", [kind.STRING], kind.BOOL, is_quantity),
        _function("quantity", [kind.STRING], kind.DOUBLE, rounded_quantity),
        _method("isGreaterThan", [kind.DOUBLE, kind.DOUBLE], kind.BOOL, lambda left, right: left > right),
    ]


def _function(
    name: str, takes: list[cel.Type], gives: cel.Type, run: Any, *, is_member: bool = False
) -> cel.FunctionDecl:
    overload = cel.Overload(f"grpo_{name}", return_type=gives, parameters=takes, is_member=is_member, impl=run)
    return cel.FunctionDecl(name, [overload])


def _method(name: str, takes: list[cel.Type], gives: cel.Type, run: Any) -> cel.FunctionDecl:
    return _function(name, takes, gives, run, is_member=True)
