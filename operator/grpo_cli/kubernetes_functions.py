"""The functions that Kubernetes adds to CEL, as far as the CRD's rules use them.

https://kubernetes.io/docs/reference/using-api/cel/#kubernetes-cel-libraries
"""

import re
from decimal import Decimal
from typing import Any, Final

from cel_expr_python import cel

from grpo_operator.api.core_types import QUANTITY

SUFFIX: Final = re.compile("([KMGTPE]i|[numkMGTPE])?$")
FACTORS: Final = {
    "": Decimal(1),
    **dict(zip("numkMGTPE", (Decimal(1000) ** power for power in (-3, -2, -1, 1, 2, 3, 4, 5, 6)), strict=True)),
    **{f"{suffix}i": Decimal(1024) ** power for power, suffix in enumerate("KMGTPE", start=1)},
}


def is_quantity(text: str) -> bool:
    return re.search(QUANTITY, text) is not None


def quantity(text: str) -> float:
    """`1.5Gi` in units. Rounded to a double: a rule asks whether it is more than nothing."""
    suffix = SUFFIX.search(text)
    assert suffix is not None
    return float(Decimal(text[: suffix.start()]) * FACTORS[suffix[0]])


def kubernetes_functions() -> list[cel.FunctionDecl]:
    kind = cel.Type  # a quantity is a number here
    return [
        _function("isQuantity", [kind.STRING], kind.BOOL, is_quantity),
        _function("quantity", [kind.STRING], kind.DOUBLE, quantity),
        _method("isGreaterThan", [kind.DOUBLE, kind.DOUBLE], kind.BOOL, lambda left, right: left > right),
    ]


def _function(
    name: str, takes: list[cel.Type], gives: cel.Type, run: Any, *, is_member: bool = False
) -> cel.FunctionDecl:
    overload = cel.Overload(f"grpo_{name}", return_type=gives, parameters=takes, is_member=is_member, impl=run)
    return cel.FunctionDecl(name, [overload])


def _method(name: str, takes: list[cel.Type], gives: cel.Type, run: Any) -> cel.FunctionDecl:
    return _function(name, takes, gives, run, is_member=True)
