"""What a completion's last digits are on a CPU, whatever is written beside it.

oneDNN computes each row of a product alone, always in the same order, but for one that has no other beside it: of a long one
(over a thousand numbers) it then adds up in another order. A completion that is the last one left would be written in other
digits than the same one among others.
"""

import functools
from collections.abc import Callable
from typing import Any, Final

MARK: Final = "_grpo_lone_rows"


def accompany_lone_rows(operations: Any) -> None:
    """`operations`: vLLM's, of whose `onednn_mm` this takes the place."""
    if not hasattr(operations.onednn_mm, MARK):
        operations.onednn_mm = _accompanied(operations.onednn_mm)


def _accompanied(multiply: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(multiply)
    def accompanied(handler: Any, rows: Any, bias: Any) -> Any:
        if rows.shape[:-1].numel() != 1:
            return multiply(handler, rows, bias)
        twice = rows.reshape(1, -1).expand(2, -1).contiguous()
        return multiply(handler, twice, bias)[:1].reshape(*rows.shape[:-1], -1)

    setattr(accompanied, MARK, True)
    return accompanied
