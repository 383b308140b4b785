"""Which line of vLLM's log is shown to people. The excerpts are from real ends of vLLM 0.31."""

import pytest

from grpo_contract.failure import QUOTED_CHARACTERS
from grpo_generator.last_error import LastError

CAUSE = "ValueError: No available memory for the cache blocks."
CONSEQUENCE = "(APIServer pid=1) RuntimeError: Engine core initialization failed. See root cause above."
INVALID = """\
pydantic_core._pydantic_core.ValidationError: 1 validation error for ModelConfig
  Value error, User-specified max_model_len (4096) is too much. [type=value_error, input_value=ArgsKwargs(())]
    For further information visit https://errors.pydantic.dev/2.14/v/value_error
"""
OUT_OF_RANGE = """\
pydantic_core._pydantic_core.ValidationError: 1 validation error for CacheConfig
block_size
  Input should be greater than 0 [type=greater_than, input_value=0, input_type=int]
    For further information visit https://errors.pydantic.dev/2.14/v/greater_than
"""
ROOT = "(EngineCore pid=7) ERROR 11-24 05:33:25 [core.py:900] "


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        ("", ""),
        ("INFO starting\n\nKilled by nobody\n\n", "Killed by nobody"),
        (f"Traceback (most recent call last):\n{CAUSE}\n", CAUSE),
        (f"{ROOT}{CAUSE}\n{CONSEQUENCE}", CAUSE),
        (f"{ROOT}{CAUSE}\n(Worker pid=9) INFO 11-24 05:33:26 [x.py:1] shutting down", CAUSE),
        (
            "(APIServer pid=1) RuntimeError: Engine core initialization failed. See root cause above.",
            "RuntimeError: Engine core initialization failed. See root cause above.",
        ),
        (
            "huggingface_hub.errors.GatedRepoError: 401 Client Error",
            "huggingface_hub.errors.GatedRepoError: 401 Client Error",
        ),
        (INVALID, "User-specified max_model_len (4096) is too much."),
        (OUT_OF_RANGE, "block_size: Input should be greater than 0"),
        ("OSError: first\nKeyError: 'second'", "KeyError: 'second'"),
        ("Errors: 3\nno Error: here", "no Error: here"),
    ],
)
def test_last_error(log: str, expected: str) -> None:
    last_error = LastError()
    for line in log.splitlines(keepends=True):
        last_error.see(line)
    assert last_error.text == expected


def test_a_long_line_is_cut() -> None:
    last_error = LastError()
    last_error.see("ValueError: " + "x" * 10_000)
    assert len(last_error.text) == QUOTED_CHARACTERS
