"""One rank of a learner that only generates: what the generation seam gives to each rank.

torchrun ... fleet_rank.py MODEL URL OUT

Writes OUT/rank<R>.json: the completions that this rank got, how far their log-probabilities are from its model's, how
it learnt that all generators were gone, and how many tensors are in another place of memory in the next version.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from accelerate import Accelerator
from transformers import AutoModelForCausalLM, AutoTokenizer

from grpo_contract.config import Deadlines
from grpo_trainer.fleet import courier, roster
from grpo_trainer.fleet.completion import Completion
from grpo_trainer.fleet.errors import GeneratorsLost
from grpo_trainer.fleet.generation import FleetGeneration, FleetSettings
from trainer.published import logprob_difference
from trainer.recording_observer import RecordingObserver
from trainer.running_generator import TOKEN

G = 2
MODEL, URL, OUT = sys.argv[1], sys.argv[2], Path(sys.argv[3])


class LosableGenerators:
    def __init__(self) -> None:
        self.found = [URL]

    def urls(self) -> list[str]:
        return self.found


def settings(discovery: LosableGenerators) -> FleetSettings:
    deadlines = Deadlines(generators_s=1, generate_s=60, weight_sync_s=30)
    return FleetSettings(discovery, lambda: TOKEN, "127.0.0.1", 0, deadlines, RecordingObserver())


def main() -> None:
    accelerator = Accelerator(cpu=True)
    rank = accelerator.process_index
    tokenizer = AutoTokenizer.from_pretrained(MODEL)
    model = AutoModelForCausalLM.from_pretrained(MODEL)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.1)  # not what the generator started with
    discovery = LosableGenerators()
    seam = FleetGeneration(
        settings(discovery),
        model=model,
        accelerator=accelerator,
        processing_class=tokenizer,
        max_completion_length=12,
        generation_kwargs={"seed": 7},
    )
    seam.sync_weights()
    prompts: list[list[int]] = tokenizer([f"rank {rank} first", f"rank {rank} second"])["input_ids"]
    repeated = [prompt for prompt in prompts for _ in range(G)]
    portions: list[Mapping[int, list[int]]] = []
    seam.inbox.told = lambda batch, completions: portions.append(completions)
    with patch.object(courier, "PORTION_S", 0.01):
        answer = seam.generate(repeated, None, G)
    discovery.found = []
    with (
        patch.object(roster, "LOOKUP_INTERVAL_S", 0.0),
        patch.object(courier, "PORTION_S", 0.2),  # several of them while the deadline passes
    ):
        bad_news = lost(seam, repeated)
    result = {
        "completions": answer[1],
        "arrived": sorted(item for portion in portions for item in portion.items()),
        "difference": difference(model, answer),
        "lost": bad_news,
        "second copies": second_copies(seam),
    }
    (OUT / f"rank{rank}.json").write_text(json.dumps(result))
    accelerator.end_training()


def second_copies(seam: FleetGeneration) -> int:
    with torch.no_grad():
        for parameter in seam.model.parameters():
            parameter.mul_(1.1)
    before = places(seam)
    seam.sync_weights()
    after = places(seam)
    assert len(before) == len(after) == (len(list(seam.model.parameters())) if seam.accelerator.is_main_process else 0)
    return sum(old != new for old, new in zip(before, after, strict=True))


def places(seam: FleetGeneration) -> list[int]:
    """Addresses of the tensors that were published last."""
    if not seam.accelerator.is_main_process:
        return []
    return [
        torch.frombuffer(tensor.data, dtype=torch.uint8).data_ptr() for tensor in seam._weights._published.tensors or ()
    ]


def difference(model: torch.nn.Module, answer: Any) -> float:
    """In nats; a completion of another prompt would be far off."""
    prompts, completions, logprobs, token_ids = answer
    assert token_ids == [[[token] for token in completion] for completion in completions]
    groups = [
        [Completion(ids, [alone for (alone,) in positions])]
        for ids, positions in zip(completions, logprobs, strict=True)
    ]
    return logprob_difference(model, groups, prompts)


def lost(seam: FleetGeneration, prompts: list[list[int]]) -> str:
    try:
        seam.generate(prompts, None, G)
    except GeneratorsLost as error:
        return f"{error.failure.reason}: {error}"
    return "not lost"


if __name__ == "__main__":
    main()
