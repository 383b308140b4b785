"""Completions go to the reward functions as they come from the generators, while others are still being written: what
scoring takes is then no time of the step's, as far as generation takes as long.
"""

import copy
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from transformers import PreTrainedTokenizerBase, TrainerState

from grpo_trainer.fleet.inbox import Batch
from grpo_trainer.light_trl import is_conversational
from grpo_trainer.rewards.processes.remote import RemoteReward
from grpo_trainer.rewards.registry import FROM_TRL
from grpo_trainer.sampling.decoding import decode, parses

NO_COLUMNS: Final = FROM_TRL | {"prompt", "completion"}
"""Of a row, what TRL hands to no function as a column, or has something else for."""


class ScoringOnArrival:
    def __init__(self, functions: Iterable[RemoteReward], tokenizer: PreTrainedTokenizerBase) -> None:
        """Of a tokenizer that parses completions (response_template, response_schema), TRL makes messages of them: then all
        of them wait for it."""
        self._functions = [function for function in functions if function.scores_parts and not parses(tokenizer)]
        self._tokenizer = copy.deepcopy(tokenizer)  # a tokenizer must not work in two threads
        self._is_conversation: dict[Batch, bool] = {}
        """By batch that has begun."""

    def begin(self, batch: Batch, rows: Sequence[Mapping[str, Any]], state: TrainerState) -> None:
        """`rows` of the data set, one for each completion of this rank. Several batches may have begun."""
        is_conversation = is_conversational({"prompt": rows[0]["prompt"]})  # of the other columns it takes any
        columns = {name: [row[name] for row in rows] for name in rows[0].keys() - NO_COLUMNS}
        for function in self._functions:
            function.begin(batch, state, {"prompts": [row["prompt"] for row in rows], **columns})
        self._is_conversation[batch] = is_conversation

    def arrived(self, batch: Batch, completion_ids: Mapping[int, list[int]]) -> None:
        """`completion_ids`: tokens, by the place of their row. In another thread than the rest."""
        is_conversation = self._is_conversation.get(batch)
        if not self._functions or not completion_ids or is_conversation is None:  # None: it has just been forgotten
            return
        completions = decode(self._tokenizer, list(completion_ids.values()), is_conversation=is_conversation)
        for function in self._functions:
            function.add(batch, list(completion_ids), completions, list(completion_ids.values()))

    def call_for(self, batch: Batch) -> None:
        """What TRL calls the functions for next."""
        del self._is_conversation[batch]
        for function in self._functions:
            function.called_for = batch

    def forget(self) -> None:
        """All that has begun."""
        self._is_conversation.clear()
        for function in self._functions:
            function.forget()
