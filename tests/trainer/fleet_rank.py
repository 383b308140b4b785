"""One rank of a learner that only generates: what the generation seam gives to each rank.

python -m trainer.ranks 2 fleet_rank.py MODEL URL OUT

Writes OUT/rank<R>.json: the completions that this rank got, how far their log-probabilities are from its model's, how
it learnt that all generators were gone (when those of rank 1 were there, and before any was), whether its first sync ended
when rank 0's had, and how many tensors are in another place of memory in the next version.
"""

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from accelerate import Accelerator
from transformers import AutoModelForCausalLM, AutoTokenizer

from grpo_contract.config import Deadlines
from grpo_trainer.fleet import courier, roster
from grpo_trainer.fleet.completion import Completion
from grpo_trainer.fleet.errors import GeneratorLost, GeneratorsLost
from grpo_trainer.fleet.fleet import Fleet
from grpo_trainer.fleet.generation import FleetGeneration, FleetSettings
from grpo_trainer.fleet.generator import Generator
from trainer.published import logprob_difference
from trainer.recording_observer import RecordingObserver
from trainer.running_generator import TOKEN

G = 2
MODEL, URL, OUT = sys.argv[1], sys.argv[2], Path(sys.argv[3])
TOKENIZER = AutoTokenizer.from_pretrained(MODEL)


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
    model = AutoModelForCausalLM.from_pretrained(MODEL)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.1)  # not what the generator started with
    discovery = LosableGenerators()
    seam = FleetGeneration(
        settings(discovery),
        seed=1,
        model=model,
        accelerator=accelerator,
        processing_class=TOKENIZER,
        max_completion_length=12,
        generation_kwargs={"seed": 7},
    )
    with patch.object(Fleet, "sync", noted(Fleet.sync, OUT / "synced")):
        seam.sync_weights()
    is_synced = (OUT / "synced").exists()
    prompts: list[list[int]] = TOKENIZER([f"rank {rank} first", f"rank {rank} second"])["input_ids"]
    repeated = [prompt for prompt in prompts for _ in range(G)]
    portions: list[Mapping[int, list[int]]] = []
    seam.inbox.told = lambda batch, completions: portions.append(completions)
    with patch.object(courier, "PORTION_S", 0.01):
        answer = seam.generate(repeated, None, G)
    arrived = arrivals(portions)
    with (
        patch.object(roster, "LOOKUP_INTERVAL_S", 0.0),
        patch.object(courier, "PORTION_S", 0.2),  # several of them while the deadline passes
    ):
        with patch.object(Generator, "complete", ending_after(accelerator.num_processes * len(prompts), discovery)):
            lost_late = lost(seam, repeated)
        late = arrivals(portions)
        bad_news = lost(seam, repeated)
    result = {
        "is synced": is_synced,
        "completions": answer[1],
        "arrived": arrived,
        "arrived before all was lost": [place for place, _ in late],
        "lost late": lost_late,
        "difference": difference(model, answer),
        "lost": bad_news,
        "second copies": second_copies(seam),
    }
    (OUT / f"rank{rank}.json").write_text(json.dumps(result))
    accelerator.end_training()


def noted(sync: Callable[[Fleet], None], end: Path) -> Callable[[Fleet], None]:
    """One that takes its time, and leaves a file."""

    def noted(fleet: Fleet) -> None:
        sync(fleet)
        time.sleep(1)
        end.touch()

    return noted


def arrivals(portions: list[Mapping[int, list[int]]]) -> list[tuple[int, list[int]]]:
    """Since the last call, by place."""
    arrived = sorted(item for portion in portions for item in portion.items())
    portions.clear()
    return arrived


def ending_after(num_requests: int, discovery: LosableGenerators) -> Callable[..., list[list[Completion]]]:
    """`Generator.complete` of one that has so many requests, writes those of the last rank, and is gone before any other."""
    complete, together = Generator.complete, threading.Barrier(num_requests)
    last_rank = f"rank {int(os.environ['WORLD_SIZE']) - 1} "

    def ending(generator: Generator, prompts: list[list[int]], *arguments: Any) -> list[list[Completion]]:
        is_of_last_rank = all(TOKENIZER.decode(prompt).startswith(last_rank) for prompt in prompts)
        groups = complete(generator, prompts, *arguments) if is_of_last_rank else []
        together.wait(timeout=60)
        if is_of_last_rank:
            return groups
        discovery.found = []
        raise GeneratorLost("it is gone")

    return ending


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
