"""What all ranks together hand over of each generation that is learnt from, to be kept for reading."""

from datetime import UTC, datetime
from itertools import islice
from typing import Any

from accelerate.utils import gather_object

from grpo_contract.pod import attempt
from grpo_trainer.completions.batch import Batch, Written
from grpo_trainer.completions.keeper import CompletionsKeeper
from grpo_trainer.learner import Learner


class CompletionsReport:
    def __init__(self, learner: Learner, keeper: CompletionsKeeper | None) -> None:
        """`keeper`: on rank 0, where any are kept."""
        self._learner = learner
        self._keeper = keeper

    def generated(self) -> None:
        """On all ranks, when the completions of a batch have their advantages."""
        learner = self._learner
        own = zip(*learner.last_tokens, learner.vllm_generation.sampled_from, strict=True)
        written = gather_object([self._written(*of_one) for of_one in own])
        if self._keeper is None:
            return
        logged = learner._logs  # of all ranks, for TRL's own table of completions
        last = len(written)
        self._keeper.keep(
            Batch(
                step=learner.state.global_step + 1,
                attempt=attempt(),
                at=datetime.now(UTC).replace(tzinfo=None),
                num_generations=learner.num_generations,
                prompts=_last(logged["prompt"], last),
                completions=_last(logged["completion"], last),
                written=written,
                scores={name: _last(logged["rewards"][name], last) for name in learner.reward_func_names},
                weights=learner.reward_weights.tolist(),
                advantages=_last(logged["advantages"], last),
            )
        )

    def _written(self, prompt: list[int], completion: list[int], version: int) -> Written:
        learner = self._learner
        ends = {*learner.eos_token_ids, learner._tokenizer.pad_token_id}  # by which TRL counts what was cut off
        return Written(len(prompt), len(completion), completion[-1] not in ends, version)


def _last(values: Any, count: int) -> list[Any]:
    """TRL keeps as many as a batch has, of an evaluation's too."""
    return list(islice(values, len(values) - count, None))
