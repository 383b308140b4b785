"""docs/reference.md has every reason, and tables that Markdown can read."""

import re

from codegen.reference import members, table
from grpo_contract.failure import PodReason
from grpo_operator.reconcile.reasons import Reason
from harness.layout import TESTS


def test_a_cell_is_one_line() -> None:
    assert table(("type", "meaning"), [("`a`", "one\n    two | three")]) == (
        "| type | meaning |\n| --- | --- |\n| `a` | one two \\| three |\n"
    )


def test_reasons_of_pods() -> None:
    rows = dict(members(PodReason))
    assert list(rows) == [f"`{reason}`" for reason in PodReason]
    assert " ".join(rows["`VolumeFull`"].split()) == (
        "The run's volume is full: enlarge it, or keep fewer checkpoints (`checkpoint.keep`). There is no other attempt when the run "
        "has no checkpoint yet."
    )


def test_each_reason_is_reached_by_a_test() -> None:
    tests = "".join(file.read_text() for file in TESTS.glob("*/test_*.py"))
    named = {
        reason
        for kind in (Reason, PodReason)
        for reason in kind
        if re.search(rf'"{reason.value}"|\b{kind.__name__}\.{reason.name}\b', tests)
    }
    assert {*Reason, *PodReason} - named == set()


def test_reasons_of_the_operator() -> None:
    assert [reason for reason, _ in members(Reason)] == [f"`{reason}`" for reason in Reason]
