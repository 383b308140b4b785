"""Which series an expression is about, by the tree that Prometheus parses it to."""

from typing import Any

from harness.prometheus import selectors_in


def selector(name: str, *matchers: tuple[str, str, str], **more: Any) -> dict[str, Any]:
    named = [*matchers, ("__name__", "=", name)]
    found = [{"name": label, "type": kind, "value": value} for label, kind, value in named]
    return {"type": "vectorSelector", "name": name, "matchers": found, "offset": 0, **more}


def test_selectors_are_found_wherever_they_are() -> None:
    increase = {
        "type": "call",
        "func": {"name": "increase", "argTypes": ["matrix"]},
        "args": [selector("errors", ("reason", "!=", 'said "no"'), range=900, type="matrixSelector")],
    }
    tree = {
        "type": "binaryExpr",
        "op": ">",
        "lhs": {"type": "aggregation", "expr": increase, "param": None, "grouping": ["run"]},
        "rhs": {"type": "parenExpr", "expr": selector("total", offset=60)},
    }
    assert list(selectors_in(tree)) == ['errors{reason!="said \\"no\\""}', "total{}"]
