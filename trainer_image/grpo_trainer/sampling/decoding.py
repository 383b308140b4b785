"""Completions as TRL hands them to reward functions: texts, or messages where the prompts are conversations."""

from collections.abc import Sequence
from typing import Any

from transformers import PreTrainedTokenizerBase

from grpo_trainer.light_trl import is_conversational, parse_response


def parses(tokenizer: PreTrainedTokenizerBase) -> bool:
    """TRL makes messages with parts of the completions of a tokenizer that says how."""
    template = getattr(tokenizer, "response_template", None)
    return template is not None or getattr(tokenizer, "response_schema", None) is not None


def decode(tokenizer: PreTrainedTokenizerBase, ids: Sequence[list[int]], *, is_conversation: bool) -> list[Any]:
    """Of a tokenizer that does not parse."""
    texts: list[str] = tokenizer.batch_decode(list(ids), skip_special_tokens=True)
    return [[{"role": "assistant", "content": text}] for text in texts] if is_conversation else texts


def decode_or_parse(
    tokenizer: PreTrainedTokenizerBase, prompt: Any, prompt_ids: Sequence[list[int]], ids: Sequence[list[int]]
) -> list[Any]:
    """`prompt` is any one of them, `prompt_ids` those of each completion."""
    is_conversation = is_conversational({"prompt": prompt})
    if not (is_conversation and parses(tokenizer)):
        return decode(tokenizer, ids, is_conversation=is_conversation)
    return [[parse_response(tokenizer, own, prefix=prefix)] for prefix, own in zip(prompt_ids, ids, strict=True)]
