"""Generation ahead of learning: generators write completions of the next batches while learners learn from this one.

With a staleness of at most k, each batch is asked for k batches before TRL wants it, with weights that are the newest ones
then; with k = 0 generation and learning take turns, as with TRL. Until an attempt has its first batch, nothing is asked for
ahead. TRL's importance-sampling correction accounts for the weights being older: it compares the sampler's log-probabilities
with those of the weights that learn.
"""

import copy
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from grpo_trainer.fleet.generation import FleetGRPOTrainer
from grpo_trainer.sampling.ahead import Rows, RowsAhead
from grpo_trainer.sampling.arrivals import ScoringOnArrival


@dataclass(frozen=True)
class _Asked:
    """For completions of these, an entry for each."""

    prompts: list[Any]
    prompt_ids: list[list[int]]


class OverlappedTrainer(FleetGRPOTrainer):
    def __init__(self, *args: Any, on_arrival: ScoringOnArrival | None = None, **kwargs: Any) -> None:
        """`on_arrival` tells reward functions of completions before TRL wants them."""
        super().__init__(*args, **kwargs)
        self._on_arrival = on_arrival
        if on_arrival is not None:
            self.vllm_generation.inbox.told = on_arrival.arrived
        self._rows_ahead = RowsAhead()
        self._num_batches_evaluated = 0
        """Of the evaluation that is being made."""
        self._batch = ""
        self._asked_ahead: dict[str, _Asked] = {}
        self._versions: deque[int] = deque(maxlen=self.max_staleness + 1)
        """Of the weights at the beginnings of training's last batches: so many that anything too stale is older than them."""
        self.staleness: dict[str, float] = {}
        """Mean and maximum over the batch that was taken last, in versions."""
        self._num_too_stale = 0

    @property
    def max_staleness(self) -> int:
        most: int = self.vllm_generation.max_staleness
        return most

    def train(self, *args: Any, **kwargs: Any) -> Any:
        result = super().train(*args, **kwargs)
        self._asked_ahead.clear()
        self.vllm_generation.forget()  # when it ended early, some are still being written
        if self._on_arrival is not None:
            self._on_arrival.forget()
        return result

    def evaluate(self, *args: Any, **kwargs: Any) -> Any:
        self._num_batches_evaluated = 0
        return super().evaluate(*args, **kwargs)

    def get_batch_samples(self, epoch_iterator: Iterator[Rows], num_batches: int, device: torch.device) -> Any:
        if self.max_staleness == 0:
            return super().get_batch_samples(epoch_iterator, num_batches, device)
        batches = self._rows_ahead.take(epoch_iterator, num_batches, self._step)
        return batches, self._get_num_items_in_batch(batches, device)

    def _generate_and_score_completions(self, inputs: Rows) -> dict[str, Any]:
        # Names say nothing of the attempt: what a batch is called decides which random numbers it is sampled with.
        if self.model.training:
            self._batch = training_batch(self._batch_number)
        else:
            self._num_batches_evaluated += 1
            self._batch = f"evaluation at step {self.state.global_step}, {self._num_batches_evaluated}"
        if (asked := self._asked_ahead.get(self._batch)) is None:
            self._begin(self._batch, inputs)
        else:
            assert asked.prompts == [row["prompt"] for row in inputs], f"{self._batch} is not what was asked for ahead"
        result: dict[str, Any] = super()._generate_and_score_completions(inputs)
        if self.model.training:
            self._tell_staleness()
        return result

    def _generate_single_turn(self, prompt_ids: list[list[int]], *args: Any, **kwargs: Any) -> Any:
        """The newest weights have been published, and generators have them, or will."""
        generation = self.vllm_generation
        generation.wanted = self._batch
        if not self.model.training:
            generation.ask(self._batch, prompt_ids, self.num_generations_eval)
            return super()._generate_single_turn(prompt_ids, *args, **kwargs)
        if generation.num_versions not in self._versions:
            self._versions.append(generation.num_versions)
            generation.oldest_taken = self._versions[0]
        if (asked := self._asked_ahead.pop(self._batch, None)) is None:
            generation.ask(self._batch, prompt_ids, self.num_generations)
            written = super()._generate_single_turn(prompt_ids, *args, **kwargs)
            self._ask_ahead()  # not before: learners have nothing to learn from until this batch has been written
            return written
        prompt_ids[:] = asked.prompt_ids  # a template may say the time: a prompt need not be the same twice
        self._ask_ahead()  # before it waits: the next batch fills generators that have little left of this one
        return super()._generate_single_turn(prompt_ids, *args, **kwargs)

    def _calculate_rewards(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        if self._on_arrival is not None:
            self._on_arrival.call_for(self._batch)
        scores: torch.Tensor = super()._calculate_rewards(*args, **kwargs)
        return scores

    def _begin(self, batch: str, rows: Rows) -> None:
        if self._on_arrival is not None:
            self._on_arrival.begin(batch, rows, self.state)

    def _ask_ahead(self) -> None:
        for number in range(self._batch_number + 1, self._batch_number + 1 + self.max_staleness):
            batch = training_batch(number)
            if batch in self._asked_ahead:
                continue
            if (rows := self._rows_of(number)) is None:
                return
            self._begin(batch, rows)
            prompts = [row["prompt"] for row in rows]
            prompt_ids = self._tokenize_prompts(copy.deepcopy(prompts))[0]  # of a copy, as TRL does
            self.vllm_generation.ask(batch, prompt_ids, self.num_generations)
            self._asked_ahead[batch] = _Asked(prompts, prompt_ids)

    def _rows_of(self, number: int) -> Rows | None:
        """Of a generation batch that is still to come. None when training ends before, more than one epoch on, or where a
        stream is to be read anew: what it begins with then is not known."""
        step = number * self._generate_every
        if step >= self.state.max_steps * self.args.gradient_accumulation_steps:
            return None
        rows = self._rows_ahead.at(step)
        if rows is None and self.train_sampler is not None:
            return self._rows_ahead.after_epoch(self.callback_handler.train_dataloader, self.train_sampler, step)
        return rows

    @property
    def _batch_number(self) -> int:
        """Of the current generation batch of training."""
        number: int = self._step // self._generate_every
        return number

    @property
    def is_within_generation_batch(self) -> bool:
        """Whether the next micro-step learns from completions that are there."""
        return bool(self._step % self._generate_every)

    @property
    def _generate_every(self) -> int:
        """Micro-steps that learn from one generation batch."""
        every: int = self.args.steps_per_generation * self.num_iterations
        return every

    def _tell_staleness(self) -> None:
        """Of each completion, how many versions older than the weights that learn from it those were that its first token was
        sampled from."""
        newer = [sum(version > first for version in self._versions) for first in self.vllm_generation.sampled_from]
        staleness = self.accelerator.gather(torch.tensor(newer, device=self.accelerator.device)).float()
        self.staleness = {"mean": staleness.mean().item(), "max": staleness.max().item()}
        self._num_too_stale += int((staleness > self.max_staleness).sum())
        if self.max_staleness:  # without, a run logs what TRL logs
            for stat, value in self.staleness.items():
                self._metrics["train"][f"staleness/{stat}"].append(value)

    def take_num_too_stale(self) -> int:
        """Completions that were learnt from and should not have been, since the last call."""
        taken, self._num_too_stale = self._num_too_stale, 0
        return taken


def training_batch(number: int) -> str:
    return f"training {number}"
