"""The summary of `make test` counts what happened, also where it is not a test."""

import pytest

from harness.layers import Counts, counts_of


@pytest.mark.parametrize(
    ("summary", "exit_code", "counts"),
    [
        ("===== 412 passed in 11.90s =====", 0, Counts(passed=412)),
        ("= 1 failed, 20 passed, 2 skipped, 3 warnings, 4 errors in 71.32s (0:01:11) =", 1, Counts(20, 5, 2)),
        ("===== 7 skipped in 0.10s =====", 0, Counts(skipped=7)),
        ("===== 1 error in 0.52s =====", 2, Counts(failed=1)),
        ("===== 3 passed in 0.52s =====", 2, Counts(3, failed=1)),
        ("", 2, Counts(failed=1)),
        ("", 0, Counts(passed=1)),
    ],
)
def test_counts(summary: str, exit_code: int, counts: Counts) -> None:
    assert counts_of(summary, exit_code) == counts
