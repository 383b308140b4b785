"""The summary of `make test` counts what happened, also where it is not a test, and says what was left unshown."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.layers import Counts, Result, counts_of, run_target, summary_of
from harness.layout import ROOT

RunLayer = Callable[[str], Result]


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


@pytest.fixture
def run_layer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunLayer:
    """A layer of the name e2e that is this command, run in `tmp_path`."""
    monkeypatch.chdir(tmp_path)

    def run(command: str) -> Result:
        (tmp_path / "Makefile").write_text(f"test-e2e:\n\t@{command}\n")
        return run_target("test-e2e")

    return run


SKIPPING = """
import pytest

@pytest.fixture
def image():
    pytest.skip("the image needs 26 GB of disk, and 20 GB are free")

def test_first_steps(image): pass
def test_others(): pass
"""


def test_a_skipped_test_says_why(tmp_path: Path, run_layer: RunLayer) -> None:
    """Of the words of the real pytest, with the options of this project."""
    (tmp_path / "test_image.py").write_text(SKIPPING)
    result = run_layer(f"{sys.executable} -m pytest -c {ROOT / 'pyproject.toml'} --rootdir=. -p no:cacheprovider .")
    assert (result.layer, result.counts) == ("e2e", Counts(passed=1, skipped=1))
    assert result.skips == ("test_image.py:8: the image needs 26 GB of disk, and 20 GB are free",)


def test_a_layer_that_hangs_has_failed(run_layer: RunLayer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.layers.LONGEST_LAYER_S", 0.5)
    result = run_layer("sleep 60")
    assert result.counts == Counts(failed=1)
    assert result.seconds < 30


def test_what_a_layer_leaves_behind_is_not_waited_for(run_layer: RunLayer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.layers.LAST_LINES_S", 0.5)
    result = run_layer("sleep 20 & echo '3 passed in 0.52s'")
    assert result.counts == Counts(passed=3)
    assert result.seconds < 10
    assert summary_of([result])[-1] == "e2e has left processes that hold its output"


def test_the_summary_names_what_was_skipped() -> None:
    results = [Result("unit", Counts(412), 11.9), Result("e2e", Counts(20, 1, 1), 900.4, ("test_image.py:8: no disk",))]
    assert summary_of(results) == [
        "layer      passed  failed  skipped  seconds",
        "unit          412       0        0       12",
        "e2e            20       1        1      900",
        "432 passed, 1 failed, 1 skipped",
        "skipped in e2e: test_image.py:8: no disk",
    ]
