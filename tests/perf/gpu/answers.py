"""What generators would have written, and its reward. Both sides of a comparison learn from the same."""

from collections.abc import Sequence
from typing import Any

from perf.paced_server import completion


def even_share(completion_ids: Sequence[Sequence[int]], **_: Any) -> list[float]:
    """The share of even tokens: of random ones it differs from completion to completion, so that there is something to learn."""
    return [sum(token % 2 == 0 for token in ids) / len(ids) for ids in completion_ids]


class InstantGenerators:
    """VLLMGeneration's face towards TRL: the completions of the paced server, at once and without a server."""

    def __init__(self, num_tokens: int, vocabulary: int) -> None:
        self._num_tokens = num_tokens
        self._vocabulary = vocabulary

    def sync_weights(self) -> None:
        pass

    def generate(self, prompts: list[list[int]], images: Any, num_generations: int, profiler: Any = None) -> Any:
        choices = [
            completion(prompt, number % num_generations, self._num_tokens, self._vocabulary)
            for number, prompt in enumerate(prompts)
        ]
        completions = [choice["token_ids"] for choice in choices]
        logprobs = [[[logprob] for logprob in choice["logprobs"]["token_logprobs"]] for choice in choices]
        return prompts, completions, logprobs, [[[token] for token in tokens] for tokens in completions]
