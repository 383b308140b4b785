"""The rows of a batch, as the contract's columns."""

import json
import math
from collections.abc import Sequence
from statistics import fmean, pstdev
from typing import Any, Final

import pyarrow as pa

from grpo_contract.completions import Column
from grpo_trainer.completions.batch import Batch, sampled_groups
from grpo_trainer.completions.signals import compression_ratio, reasoning_words

TYPES: Final = {
    Column.STEP: pa.int32(),
    Column.ATTEMPT: pa.int32(),
    Column.AT: pa.timestamp("ms"),
    Column.GROUP: pa.int32(),
    Column.MEMBER: pa.int32(),
    Column.PROMPT: pa.string(),
    Column.COMPLETION: pa.string(),
    Column.PROMPT_TOKENS: pa.int32(),
    Column.TOKENS: pa.int32(),
    Column.IS_TRUNCATED: pa.bool_(),
    Column.WEIGHT_VERSION: pa.int64(),
    Column.REWARD: pa.float32(),
    Column.ADVANTAGE: pa.float32(),
    Column.DISAGREEMENT: pa.float32(),
    Column.COMPRESSION_RATIO: pa.float32(),
    Column.REASONING_WORDS: pa.int32(),
}
"""Of the columns that are the same in all runs."""


def build_table(batch: Batch, most_groups: int | None) -> pa.Table:
    """In the order of the batch; without the groups that are not sampled."""
    apart = disagreements(list(batch.scores.values()))
    kept = [
        place
        for group in sampled_groups(batch, most_groups)
        for place in range(group * batch.num_generations, (group + 1) * batch.num_generations)
    ]
    rows = [_row(batch, place, apart[place]) for place in kept]
    rewards = pa.struct([(name, pa.float32()) for name in batch.scores])
    return pa.Table.from_pylist(rows, schema=pa.schema([*TYPES.items(), (Column.REWARDS, rewards)]))


def _row(batch: Batch, place: int, disagreement: float | None) -> dict[str, Any]:
    written, text = batch.written[place], text_of(batch.completions[place])
    group, member = divmod(place, batch.num_generations)
    scores = {name: known(column[place]) for name, column in batch.scores.items()}
    return {
        Column.STEP: batch.step,
        Column.ATTEMPT: batch.attempt,
        Column.AT: batch.at,
        Column.GROUP: group,
        Column.MEMBER: member,
        Column.PROMPT: text_of(batch.prompts[place]),
        Column.COMPLETION: text,
        Column.PROMPT_TOKENS: written.prompt_tokens,
        Column.TOKENS: written.tokens,
        Column.IS_TRUNCATED: written.is_truncated,
        Column.WEIGHT_VERSION: written.weight_version,
        Column.REWARD: weighted(list(scores.values()), batch.weights),
        Column.ADVANTAGE: known(batch.advantages[place]),
        Column.REWARDS: scores,
        Column.DISAGREEMENT: disagreement,
        Column.COMPRESSION_RATIO: compression_ratio(text),
        Column.REASONING_WORDS: reasoning_words(text),
    }


def text_of(messages: Any) -> str:
    """A text as it is. Of a conversation each message under its role, but for a single one of the assistant's."""
    if isinstance(messages, str):
        return messages
    if len(messages) == 1 and messages[0]["role"] == "assistant":
        return _content(messages[0])
    return "\n\n".join(f"[{message['role']}]\n{_content(message)}" for message in messages)


def _content(message: dict[str, Any]) -> str:
    """With what there is beside its content, such as calls of tools."""
    others = {name: value for name, value in message.items() if name not in ("role", "content") and value}
    content = message.get("content") or ""
    texts = [content] if isinstance(content, str) else [json.dumps(content, ensure_ascii=False)]
    return "\n".join([*texts, *([json.dumps(others, ensure_ascii=False, default=str)] if others else [])])


def known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def weighted(scores: Sequence[float | None], weights: Sequence[float]) -> float | None:
    """As TRL logs it."""
    given = [score * weight for score, weight in zip(scores, weights, strict=True) if score is not None]
    return sum(given) if given else None


def disagreements(scores: Sequence[Sequence[float]]) -> list[float | None]:
    """`scores`: functions x completions. How far the largest and the smallest of a completion's standard scores are apart."""
    standard = [_standardised(column) for column in scores]
    return [_range([score for score in of_one if score is not None]) for of_one in zip(*standard, strict=True)]


def _standardised(column: Sequence[float]) -> list[float | None]:
    given = [score for score in column if math.isfinite(score)]
    spread = pstdev(given) if given else 0.0
    if spread == 0.0:  # says nothing of any of them
        return [None] * len(column)
    mean = fmean(given)
    return [(score - mean) / spread if math.isfinite(score) else None for score in column]


def _range(scores: Sequence[float]) -> float | None:
    return max(scores) - min(scores) if len(scores) > 1 else None
