"""What `generation_kwargs` may hold: fields of the request for completions that learners send to vLLM, which answers as if a
field that it does not know were not there."""

from collections.abc import Mapping
from typing import Any, Final

from grpo_contract.recipe.unknown_keys import unknown_argument

KEY: Final = "generation_kwargs"
KEYS: Final = (KEY,)
"""Of a recipe, which decide what is a mistake."""
FIELDS: Final = (
    "add_special_tokens", "allowed_token_ids", "bad_words", "cache_salt", "echo", "ec_transfer_params",
    "frequency_penalty", "ignore_eos", "include_stop_str_in_output", "kv_transfer_params", "length_penalty", "logit_bias",
    "logprob_token_ids", "logprobs", "max_tokens", "min_p", "min_tokens", "model", "n", "presence_penalty", "priority",
    "prompt", "prompt_embeds", "prompt_logprobs", "repetition_detection", "repetition_penalty", "request_id",
    "response_format", "return_token_ids", "return_token_offsets", "return_tokens_as_token_ids",
    "routed_experts_prompt_start", "seed", "session_id", "skip_special_tokens", "spaces_between_special_tokens", "stop",
    "stop_token_ids", "stream", "stream_interval", "stream_options", "structured_outputs", "suffix", "temperature",
    "thinking_token_budget", "top_k", "top_p", "truncate_prompt_tokens", "truncation_side", "use_beam_search", "user",
    "vllm_xargs", "watermarking",
)  # fmt: skip

OWN: Final = frozenset(
    {
        "echo", "logprobs", "model", "n", "prompt", "prompt_embeds", "prompt_logprobs", "return_token_ids",
        "return_tokens_as_token_ids", "stream", "stream_interval", "stream_options", "suffix", "use_beam_search",
    }
)  # fmt: skip
"""What learners say themselves: with another value the answer would not be the groups that they asked for."""


def sampling_mistake(recipe: Mapping[str, Any]) -> str | None:
    """In one sentence."""
    own = next((name for name in recipe.get(KEY) or {} if name in OWN), None)
    if own is not None:
        return f"spec.recipe.{KEY} holds {own}, which learners set themselves in each request; leave it out."
    unknown = next((name for name in recipe.get(KEY) or {} if name not in FIELDS), None)
    return None if unknown is None else unknown_argument(KEY, unknown, "vLLM", FIELDS, "leave it out")
