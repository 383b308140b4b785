"""Kubernetes' quantities as numbers.

https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
"""

import re
from decimal import Decimal
from typing import Final

_SUFFIX: Final = re.compile("([KMGTPE]i|[numkMGTPE])?$")
_FACTORS: Final = {
    "": Decimal(1),
    **dict(zip("numkMGTPE", (Decimal(1000) ** power for power in (-3, -2, -1, 1, 2, 3, 4, 5, 6)), strict=True)),
    **{f"{suffix}i": Decimal(1024) ** power for power, suffix in enumerate("KMGTPE", start=1)},
}


def quantity(text: str) -> Decimal:
    """`1.5Gi` in units. `text`: one that `core_types.QUANTITY` matches."""
    suffix = _SUFFIX.search(text)
    assert suffix is not None
    return Decimal(text[: suffix.start()]) * _FACTORS[suffix[0]]
