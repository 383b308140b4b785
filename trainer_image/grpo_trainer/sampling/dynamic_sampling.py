"""Dynamic sampling, DAPO's rule (https://arxiv.org/abs/2503.14476, section 3.2) with a bound.

A group whose rewards are all equal has advantage 0 and teaches nothing. It is replaced by a group of another prompt whose
rewards differ: so many rounds of others are asked for at most. What is left then is learnt from as it is.

It happens between generation and all that TRL makes of it, so that TRL sees one batch, the one that is learnt from.
"""

import copy
from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch
from accelerate.utils import gather_object

from grpo_contract.metrics import GroupOutcome
from grpo_trainer.sampling.ahead import Rows
from grpo_trainer.sampling.decoding import decode_or_parse
from grpo_trainer.sampling.overlap import OverlappedTrainer, training_batch
from grpo_trainer.sampling.portion import Layout, Portion
from grpo_trainer.sampling.reserve import Reserve
from grpo_trainer.sampling.spread import Judgement, judge


class DynamicSamplingTrainer(OverlappedTrainer):
    def __init__(self, *args: Any, refill_rounds: int = 0, **kwargs: Any) -> None:
        """With 0 rounds all groups are learnt from."""
        super().__init__(*args, **kwargs)
        self._refill_rounds = refill_rounds
        self._layout = Layout(self.num_generations, self.accelerator.num_processes, self.accelerator.process_index)
        self._rows: Rows = []
        self._prompts: list[Any] = []
        self._known_scores: torch.Tensor | None = None
        """Of the completions that TRL has scored next, if they are scored."""
        self.all_scores = torch.empty(0)
        """Of the last batch, replaced completions among them: completions of all ranks x reward functions."""
        self._refills: Counter[str] = Counter()

    def take_refills(self) -> Counter[str]:
        """Since the last call: groups of each GroupOutcome, and `tokens` of completions that were not learnt from."""
        taken, self._refills = self._refills, Counter()
        return taken

    def _generate_and_score_completions(self, inputs: Rows) -> dict[str, Any]:
        self._rows = inputs
        return super()._generate_and_score_completions(inputs)

    def _generate(self, prompts: list[Any]) -> Any:
        self._prompts = prompts
        return super()._generate(prompts)

    def _generate_single_turn(self, prompt_ids: list[list[int]], *args: Any, **kwargs: Any) -> Any:
        written = super()._generate_single_turn(prompt_ids, *args, **kwargs)
        if self._refill_rounds and self.model.training:
            self._refill(self._portion(self._prompts, prompt_ids, *written))
        return written

    def _calculate_rewards(self, *args: Any) -> torch.Tensor:
        known, self._known_scores = self._known_scores, None
        if known is not None:
            return known
        self.all_scores = self._score(*args)
        return self.all_scores

    def _score(self, *args: Any) -> torch.Tensor:
        """What no reward function has seen: rows, prompts, completions and their tokens, of this rank."""
        return super()._calculate_rewards(*args)

    def _refill(self, batch: Portion) -> None:
        scores, num_tokens = self._scores_of(batch, self._rows), batch.num_tokens
        everything, num_replaced = [scores.clone()], 0
        reserve: Reserve | None = None
        for number in range(1, self._refill_rounds + 1):
            if not (equal := self._judge(scores).equal):
                break
            reserve = reserve or self._reserve()
            others = reserve.take(self._layout.enough(len(equal)))
            if not (others := others[: self._layout.most(len(others))]):
                break
            rows = self._rows_at(others)
            refill = self._write(f"{training_batch(self._batch_number)} refill {number}", rows)
            found = self._scores_of(refill, rows)
            replaced = list(zip(equal, self._judge(found).spread, strict=False))
            for group, other in replaced:
                scores[[*self._layout.places(group)]] = found[[*self._layout.places(other)]]
            self._move(refill, batch, replaced)
            everything.append(found)
            num_tokens += refill.num_tokens
            num_replaced += len(replaced)
        self._known_scores, self.all_scores = scores, torch.cat(everything)
        self._pending_extra_logs.update(batch.extras)
        self.vllm_generation.sampled_from = batch.columns["version"]
        self._count(num_replaced, len(self._judge(scores).equal), num_tokens - batch.num_tokens)

    def _reserve(self) -> Reserve:
        prompts = gather_object(self._prompts)[:: self.num_generations]
        return Reserve(self._loader.dataset, self.args.seed, self._batch_number, prompts)

    def _rows_at(self, places: Sequence[int]) -> Rows:
        """This rank's of a batch of the prompts at these places of the data."""
        own = self._layout.own(len(places) * self.num_generations // self._layout.num_ranks)
        dataset = self._loader.dataset
        rows: Rows = self._loader.collate_fn([dataset[places[place // self.num_generations]] for place in own])
        return rows

    def _write(self, name: str, rows: Rows) -> Portion:
        """A batch of its own, and as any the work of all ranks."""
        prompts = [row["prompt"] for row in rows]
        prompt_ids = self._tokenize_prompts(copy.deepcopy(prompts))[0]
        self._batch = name
        self._begin(name, rows)
        written = super()._generate_single_turn(prompt_ids, None, {}, self.num_generations)
        return self._portion(prompts, prompt_ids, *written)

    def _portion(
        self, prompts: list[Any], prompt_ids: list[Any], completion_ids: list[Any], logprobs: list[Any]
    ) -> Portion:
        return Portion(
            {
                "prompt": prompts,
                "prompt_ids": prompt_ids,
                "completion_ids": completion_ids,
                "logprobs": logprobs,
                "version": list(self.vllm_generation.sampled_from),
            }
        )

    def _scores_of(self, portion: Portion, rows: Rows) -> torch.Tensor:
        """Of all ranks' completions; what is logged of this rank's goes to the portion."""
        prompts, prompt_ids, completion_ids = (
            portion.columns[name] for name in ("prompt", "prompt_ids", "completion_ids")
        )
        completions = decode_or_parse(self.processing_class, prompts[0], prompt_ids, completion_ids)
        scores = self._score(rows, prompts, completions, completion_ids)
        portion.extras = dict(self._pending_extra_logs)
        self._pending_extra_logs.clear()
        return scores

    def _move(self, refill: Portion, batch: Portion, replaced: Sequence[tuple[int, int]]) -> None:
        """Groups of the refill to the places of groups of the batch: from rank to rank, as they lie."""
        written, taken = self._layout.own(refill.size), self._layout.own(batch.size)
        own = [
            (to, refill.sample(place - written.start))
            for group, other in replaced
            for to, place in zip(self._layout.places(group), self._layout.places(other), strict=True)
            if place in written
        ]
        for to, sample in gather_object(own):
            if to in taken:
                batch.put(to - taken.start, sample)

    def _count(self, num_replaced: int, num_left: int, num_tokens: int) -> None:
        of_rank = torch.tensor(num_tokens, device=self.accelerator.device)
        refills: dict[str, int] = {
            GroupOutcome.REPLACED: num_replaced,
            GroupOutcome.LEFT: num_left,
            "tokens": int(self.accelerator.reduce(of_rank).item()),
        }
        self._refills.update(refills)
        for name, count in refills.items():
            self._metrics["train"][f"dynamic_sampling/{name}"].append(count)

    @property
    def _loader(self) -> Any:
        return self.callback_handler.train_dataloader

    def _judge(self, scores: torch.Tensor) -> Judgement:
        weights = self.reward_weights.to(scores.device)
        return judge(scores, weights, self.num_generations, self.multi_objective_aggregation)
