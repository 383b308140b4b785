"""docs/reference.md has every reason, and tables that Markdown can read."""

from codegen.reference import members, table, texts
from grpo_contract import failure
from grpo_operator.reconcile.failure import _KNOWN_REASONS
from grpo_operator.reconcile.reasons import Reason


def test_a_cell_is_one_line() -> None:
    assert table(("type", "meaning"), [("`a`", "one\n    two | three")]) == (
        "| type | meaning |\n| --- | --- |\n| `a` | one two \\| three |\n"
    )


def test_reasons_of_pods() -> None:
    rows = dict(texts(failure))
    assert set(rows) == {f"`{reason}`" for reason in _KNOWN_REASONS}
    assert rows["`VolumeFull`"] == (
        "The run's volume is full. There is no other attempt when the run has no checkpoint yet."
    )


def test_reasons_of_the_operator() -> None:
    assert [reason for reason, _ in members(Reason)] == [f"`{reason}`" for reason in Reason]
