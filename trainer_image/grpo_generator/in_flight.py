"""At which of its tokens a completion was overtaken by newer weights: asked of vLLM while it stands still for the swap."""

import json
from collections import defaultdict
from typing import Any, Final

ID_OF_COMPLETIONS: Final = "cmpl"
"""vLLM names a prompt of a request for completions so: cmpl-<id of the request>-<place of the prompt>."""

Swaps = defaultdict[int, list[tuple[int, str]]]
"""By generation of a prompt: how many of its tokens were there, and the version of the weights that came then."""


class InFlight:
    def __init__(self) -> None:
        self._swaps: dict[str, Swaps] = {}
        """By vLLM's name of a prompt."""

    def swapped(self, engine: Any, version: str) -> None:
        """`engine`, vLLM's client of it, writes nothing, and goes on with weights of that version."""
        for request in engine.output_processor.request_states.values():
            of_prompt = self._swaps.setdefault(request.external_req_id, defaultdict(list))
            of_prompt[request.request_index].append((request.detokenizer.num_output_tokens(), version))

    def take(self, request_id: str) -> dict[str, Swaps]:
        """Of a request that is through, by place of the prompt."""
        prefix = f"{ID_OF_COMPLETIONS}-{request_id}-"
        names = [name for name in self._swaps if name.startswith(prefix)]
        return {name.removeprefix(prefix): self._swaps.pop(name) for name in names}


def as_header(swaps: dict[str, Swaps]) -> bytes:
    """As grpo_contract.network.SWAPS_HEADER says it."""
    return json.dumps(swaps, separators=(",", ":")).encode()
