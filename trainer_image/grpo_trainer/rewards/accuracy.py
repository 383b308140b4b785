"""`accuracy`: does math-verify find the completion's boxed answer equal to the data set's `solution`? (Open-R1)

math-verify bounds its own work with SIGALRM, which exists on the main thread only: elsewhere it would raise or, worse,
score. Reward processes call functions on their main thread, and this module insists on it. What SIGALRM cannot interrupt,
because it never returns to the interpreter, the process's own deadline ends.
"""

import logging
import threading
from collections.abc import Sequence
from typing import Any, Final

from latex2sympy2_extended import NormalizationConfig
from math_verify import LatexExtractionConfig, parse, verify
from math_verify.errors import TimeoutException

from grpo_contract.metrics import RewardError
from grpo_trainer.rewards.completion import Completion, text_of
from grpo_trainer.rewards.score import Failed, Score

PARSE_TIMEOUT_S: Final = 5
VERIFY_TIMEOUT_S: Final = 5

# Open-R1's: the answer must be correct LaTeX (no malformed operators), and a boxed one is looked for first.
# Its `equations=True` is what math-verify's parser does by itself now.
ANSWER: Final = LatexExtractionConfig(
    normalization_config=NormalizationConfig(
        nits=False,
        malformed_operators=False,
        basic_latex=True,
        boxed="all",
        units=True,
    ),
    boxed_match_priority=0,
    try_extract_without_anchor=False,
)

log = logging.getLogger(__name__)


def accuracy_reward(completions: Sequence[Completion], solution: Sequence[str], **_: object) -> list[Score]:
    """1 when equal, 0 when not, None without an answer in the solution, FAILED when math-verify breaks down."""
    assert threading.current_thread() is threading.main_thread(), "math-verify's time limits need the main thread"
    return [score(text_of(completion), gold) for completion, gold in zip(completions, solution, strict=True)]


def score(answer: str, gold: str) -> Score:
    try:
        parsed_gold = parse(gold, extraction_mode="first_match", parsing_timeout=PARSE_TIMEOUT_S, raise_on_error=True)
        if not parsed_gold:
            log.warning("the solution %.200r cannot be parsed: its completions get no reward for being right", gold)
            return None
        return float(verify(parsed_gold, parse_answer(answer), timeout_seconds=VERIFY_TIMEOUT_S, raise_on_error=True))
    except (Exception, TimeoutException) as error:  # any of sympy's; TimeoutException is a BaseException
        reason = RewardError.TIMEOUT if isinstance(error, TimeoutException) else RewardError.EXCEPTION
        return Failed(reason, f"math-verify could not compare with the solution {gold[:200]!r}: {type(error).__name__}")


def parse_answer(answer: str) -> list[Any]:
    parsed: list[Any] = parse(
        answer,
        extraction_config=[ANSWER],
        extraction_mode="first_match",
        parsing_timeout=PARSE_TIMEOUT_S,
        raise_on_error=True,
    )
    return parsed
