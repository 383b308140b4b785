"""How many completions a step learns from, which stays the same when a run goes on with other ranks."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from grpo_contract.failure import PodReason, RunFailure
from grpo_trainer.storage.checkpoint_files import BATCHES

FIELD: Final = "spec.learners.replicas"


@dataclass(frozen=True)
class Batches:
    """Completions of all ranks: of an optimizer step, and of a call for completions."""

    step: int
    generation: int


def batches_of(arguments: Any, num_ranks: int) -> Batches:
    """By TRL's arguments, if there were so many ranks."""
    per_pass = arguments.per_device_train_batch_size * num_ranks
    return Batches(per_pass * arguments.gradient_accumulation_steps, per_pass * arguments.steps_per_generation)


def save_batches(arguments: Any, checkpoint: Path) -> None:
    (checkpoint / BATCHES).write_text(json.dumps(asdict(batches_of(arguments, arguments.world_size))))


def saved_batches(checkpoint: Path, arguments: Any, num_ranks: int) -> Batches:
    """Of a checkpoint that so many ranks have saved; by TRL's arguments where it does not say."""
    file = checkpoint / BATCHES
    return Batches(**json.loads(file.read_text())) if file.exists() else batches_of(arguments, num_ranks)


def divided(batches: Batches, most_per_pass: int, num_ranks: int) -> dict[str, Any]:
    """TRL's arguments for so many ranks, each of which takes that many completions at once, or fewer.

    Raises:
        RunFailure: they cannot be divided evenly. That does not end the run: their number can be changed again.
    """
    for of, size in asdict(batches).items():
        if size % num_ranks:
            raise RunFailure(
                PodReason.LEARNER_ERROR,
                f"{FIELD}: a {of} of the run is {size} completions, which cannot be divided among {num_ranks} learner "
                "processes; suspend the run, and choose a number of learners that divides them.",
            )
    step, generation = batches.step // num_ranks, batches.generation // num_ranks
    per_pass = max(size for size in range(1, most_per_pass + 1) if not step % size and not generation % size)
    return {
        "per_device_train_batch_size": per_pass,
        "gradient_accumulation_steps": step // per_pass,
        "steps_per_generation": generation // per_pass,
        "generation_batch_size": None,
    }
