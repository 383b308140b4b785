"""The functions that Kubernetes adds to CEL, as far as the CRD's rules use them.

https://kubernetes.io/docs/reference/using-api/cel/#kubernetes-cel-libraries
"""

import re
from decimal import Decimal
from typing import Any, Final

from cel_expr_python import cel

from grpo_operator.api.core_types import QUANTITY

DNS_LABEL: Final = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
DNS_SUBDOMAIN: Final = re.compile(rf"{DNS_LABEL}(\.{DNS_LABEL})*")
LONGEST_SUBDOMAIN: Final = 253

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


def dns_complaints(kind: str, text: str) -> list[str]:
    is_one = DNS_SUBDOMAIN.fullmatch(text) is not None and len(text) <= LONGEST_SUBDOMAIN
    return [] if is_one else [kind]


def kubernetes_functions() -> list[cel.FunctionDecl]:
    # A quantity is a number here, a format its name, and what a format complains of a list: each type is told apart.
    kind = cel.Type
    complaints = kind.List(kind.STRING)
    return [
        _function("isQuantity", [kind.STRING], kind.BOOL, is_quantity),
        _function("quantity", [kind.STRING], kind.DOUBLE, quantity),
        _method("isGreaterThan", [kind.DOUBLE, kind.DOUBLE], kind.BOOL, lambda left, right: left > right),
        _function("format.dns1123Subdomain", [], kind.STRING, lambda: "dns1123Subdomain"),
        _method("validate", [kind.STRING, kind.STRING], complaints, dns_complaints),
        _method("hasValue", [complaints], kind.BOOL, bool),
    ]


def _function(
    name: str, takes: list[cel.Type], gives: cel.Type, run: Any, *, is_member: bool = False
) -> cel.FunctionDecl:
    overload = cel.Overload(f"grpo_{name}", return_type=gives, parameters=takes, is_member=is_member, impl=run)
    return cel.FunctionDecl(name, [overload])


def _method(name: str, takes: list[cel.Type], gives: cel.Type, run: Any) -> cel.FunctionDecl:
    return _function(name, takes, gives, run, is_member=True)
