"""Completions, prompts and steps of a run. TRL 1.16: GRPOConfig.__post_init__, RepeatSampler; transformers 5.17: Trainer."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import PurePosixPath
from typing import Any

from grpo_contract.paths import is_path
from grpo_operator.api.spec import GRPORunSpec


@dataclass(frozen=True)
class Batch:
    processes: int
    per_device: int
    """Completions of one forward and backward pass of a process."""
    accumulation: int
    """Passes of an optimizer step."""
    steps_per_generation: int
    """Passes that the completions of one generation are spread over."""
    num_generations: int
    """Completions of a prompt."""
    num_iterations: int
    """Times that each generation is learnt from."""
    is_streamed: bool = False
    """The rows are."""

    @property
    def completions_per_step(self) -> int:
        return self.processes * self.per_device * self.accumulation

    @property
    def completions_per_generation(self) -> int:
        return self.processes * self.per_device * self.steps_per_generation

    @property
    def prompts_per_generation(self) -> int:
        return self.completions_per_generation // self.num_generations

    @property
    def prompts_per_step(self) -> Fraction:
        """Unique ones: of completions that are learnt from once, each group counts in full."""
        return Fraction(self.completions_per_step, self.num_generations)

    @property
    def steps_on_a_generation(self) -> Fraction:
        """Optimizer steps until completions are written anew: from the second on the policy has moved."""
        return Fraction(self.steps_per_generation * self.num_iterations, self.accumulation)

    def steps_per_epoch(self, rows: int) -> int:
        """An incomplete last generation is dropped, an incomplete last step is made; of a stream, it goes on with the next epoch."""
        steps = Fraction(self.passes_per_epoch(rows), self.accumulation)
        return max(1, math.floor(steps) if self.is_streamed else math.ceil(steps))

    def passes_per_epoch(self, rows: int) -> int:
        return (rows // self.prompts_per_generation) * self.steps_per_generation * self.num_iterations

    def total_steps(self, rows: int, epochs: float) -> int:
        return math.ceil(epochs * self.steps_per_epoch(rows))

    def completions_of(self, steps: int, rows: int | None) -> int:
        """Written in so many steps. Without `rows` no step is taken for an incomplete one."""
        passes = steps * self.accumulation
        if rows is not None:
            epochs, more = divmod(steps, self.steps_per_epoch(rows))
            whole = self.passes_per_epoch(rows)
            passes = epochs * whole + min(more * self.accumulation, whole)
        return (
            math.ceil(Fraction(passes, self.steps_per_generation * self.num_iterations))
            * self.completions_per_generation
        )


def batch_of(spec: GRPORunSpec, value: Callable[[str], Any]) -> Batch:
    """`value` gives the recipe's value of a key, or TRL's. The CRD's rules have seen that all divides."""
    processes = spec.learners.replicas * spec.learners.processes_per_pod
    per_device, accumulation = value("per_device_train_batch_size"), value("gradient_accumulation_steps")
    whole = value("generation_batch_size")
    passes = value("steps_per_generation") or (whole // (processes * per_device) if whole else accumulation)
    is_streamed = bool(value("dataset_streaming")) and not is_folder(value("dataset_name") or "")
    return Batch(
        processes, per_device, accumulation, passes, value("num_generations"), value("num_iterations"), is_streamed
    )


def is_folder(name: str) -> bool:
    """Of save_to_disk on the volume, whose rows are there: dataset_streaming is without effect."""
    return is_path(name) and not PurePosixPath(name).suffix
