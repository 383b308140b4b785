"""Completions go to the reward functions as they come from the generators, while others are still being written: what
scoring takes is then no time of the step's, as far as generation takes as long.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from transformers import PreTrainedTokenizerBase, TrainerState

from grpo_trainer.fleet.generation import Arrived
from grpo_trainer.light_trl import is_conversational
from grpo_trainer.rewards.processes.remote import RemoteReward
from grpo_trainer.rewards.registry import FROM_TRL

NO_COLUMNS: Final = FROM_TRL | {"prompt", "completion"}
"""Of a row, what TRL hands to no function as a column, or has something else for."""


class ScoringOnArrival:
    def __init__(self, functions: Iterable[RemoteReward], tokenizer: PreTrainedTokenizerBase) -> None:
        """Of a tokenizer that parses completions (response_template, response_schema), TRL makes messages of them: then all
        of them wait for it."""
        parses = getattr(tokenizer, "response_template", None) or getattr(tokenizer, "response_schema", None)
        self._functions = [function for function in functions if function.scores_parts and parses is None]
        self._tokenizer = tokenizer
        self._is_conversation = False

    def begin(self, rows: Sequence[Mapping[str, Any]], state: TrainerState) -> None:
        """`rows` of the data set, one for each completion of this rank."""
        self._is_conversation = is_conversational({"prompt": rows[0]["prompt"]})  # of the other columns it takes any
        columns = {name: [row[name] for row in rows] for name in rows[0].keys() - NO_COLUMNS}
        for function in self._functions:
            function.begin(state, {"prompts": [row["prompt"] for row in rows], **columns})

    def arrived(self, completion_ids: Arrived) -> None:
        """`completion_ids`: tokens, by the place of their row."""
        if not self._functions or not completion_ids:
            return
        texts = self._tokenizer.batch_decode(list(completion_ids.values()), skip_special_tokens=True)
        completions = [[{"role": "assistant", "content": text}] if self._is_conversation else text for text in texts]
        for function in self._functions:
            function.add(list(completion_ids), completions, list(completion_ids.values()))
