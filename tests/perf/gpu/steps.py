"""Seconds of steps, tokens per second and the share of the GPU's arithmetic that they use: one way for both sides."""

import time
from collections.abc import Sequence
from statistics import median
from typing import Any, Final

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from perf.result import Figures

WARM_UP: Final = 3
"""Steps in which memory is taken and caches fill."""
PEAK_FLOPS: Final = 989e12
"""Dense bfloat16 of an H100 SXM and of an H200, by their data sheets."""
LOG_PROBABILITY_PASSES: Final = 1
"""TRL computes the log-probabilities of all completions before the loss, to correct for the sampler's."""
FORMULA: Final = (
    f"(6 + 2 x {LOG_PROBABILITY_PASSES}) x parameters x (prompt + completion tokens) / seconds / {PEAK_FLOPS:.0f}"
)


class StepTimes(TrainerCallback):  # type: ignore[misc]
    """A step ends when the GPU has done its work."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._started = 0.0

    def on_step_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._started = time.perf_counter()

    def on_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        finish_work()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.seconds.append(time.perf_counter() - self._started)


def finish_work() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def step_figures(parameters: int, seconds: Sequence[float], state: TrainerState, completion_tokens: int) -> Figures:
    """Medians of the steps after the first ones. `completion_tokens` of a step."""
    step_s = median(seconds[WARM_UP:])
    tokens = tokens_of_step(state)
    return {
        "steps": len(seconds) - WARM_UP,
        "step_s": round(step_s, 4),
        "slowest_step_s": round(max(seconds[WARM_UP:]), 4),
        "tokens": tokens,
        "tokens_per_s": round(tokens / step_s),
        "completion_tokens_per_s": round(completion_tokens / step_s),
        "step_mfu": mfu(parameters, tokens, step_s),
        "peak_memory_gib": round(torch.cuda.max_memory_allocated() / 2**30, 1) if torch.cuda.is_available() else None,
        "losses": [entry["loss"] for entry in state.log_history if "loss" in entry][:WARM_UP],
        "gradient_norms": [entry["grad_norm"] for entry in state.log_history if "grad_norm" in entry][:WARM_UP],
    }


def tokens_of_step(state: TrainerState) -> int:
    """Of prompts and completions, in TRL's own count."""
    counts: list[float] = [entry["num_tokens"] for entry in state.log_history if "num_tokens" in entry]
    return round(counts[-1] - counts[-2])


def mfu(parameters: int, tokens: int, seconds: float) -> float:
    return round((6 + 2 * LOG_PROBABILITY_PASSES) * parameters * tokens / seconds / PEAK_FLOPS, 4)
