"""What the end-to-end tests make of promtool's answers. The exit codes are the real one's: 3 for complaints, 1 for no metrics
at all, 0 for no input."""

from collections.abc import Callable
from pathlib import Path

import pytest

from e2e.observed import promtool_check

METRICS = b"# TYPE grpo_step gauge\ngrpo_step 1\n"
OF_VLLM = "vllm:num_requests_running metric names should not contain ':'"
OF_OURS = 'grpo_tokens counter metrics should have "_total" suffix'

Promtool = Callable[[int, str], Path]


@pytest.fixture
def promtool(tmp_path: Path) -> Promtool:
    """The folder of one that ends with this exit code and says this."""

    def make(exit_code: int, words: str) -> Path:
        (tmp_path / "words").write_text(words)
        (tmp_path / "promtool").write_text(f"#!/bin/sh\ncat >/dev/null\ncat {tmp_path}/words >&2\nexit {exit_code}\n")
        (tmp_path / "promtool").chmod(0o755)
        return tmp_path

    return make


@pytest.mark.parametrize(
    ("exit_code", "words", "complaints"),
    [
        (0, "", []),
        (3, OF_VLLM, []),
        (3, f"{OF_VLLM}\n{OF_OURS}\n", [OF_OURS]),
        (1, "error while linting: text format parsing error", ["error while linting: text format parsing error"]),
    ],
)
def test_complaints(promtool: Promtool, exit_code: int, words: str, complaints: list[str]) -> None:
    assert promtool_check(promtool(exit_code, words), METRICS) == complaints


@pytest.mark.parametrize(("exit_code", "words"), [(127, ""), (0, OF_OURS)])
def test_an_exit_code_that_its_words_do_not_explain(promtool: Promtool, exit_code: int, words: str) -> None:
    with pytest.raises(AssertionError, match=f"promtool ended with {exit_code} and said"):
        promtool_check(promtool(exit_code, words), METRICS)


@pytest.mark.parametrize("exposition", [b"", b"\n", b"# EOF\n"])
def test_no_metrics(promtool: Promtool, exposition: bytes) -> None:
    with pytest.raises(AssertionError, match="no metrics are exposed"):
        promtool_check(promtool(0, ""), exposition)
