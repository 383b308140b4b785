"""One rank of a learner that waits for completions while there is no generator; the pod of rank 1 is asked to end.

python -m trainer.ranks 2 asked_rank.py MODEL OUT

Writes OUT/rank<R>.json: how the wait ended, and what ranks tell each other of whether something is so on any of them.
"""

import json
import sys
from pathlib import Path

from accelerate import Accelerator
from transformers import AutoModelForCausalLM, AutoTokenizer

from grpo_contract.config import Deadlines
from grpo_trainer.decisions import is_so_on_any_rank
from grpo_trainer.end_request import AskedToEnd
from grpo_trainer.fleet.generation import FleetGeneration, FleetSettings
from trainer.recording_observer import RecordingObserver
from trainer.running_generator import TOKEN

MODEL, OUT = sys.argv[1], Path(sys.argv[2])


class NoGenerators:
    def urls(self) -> list[str]:
        return []


def main() -> None:
    accelerator = Accelerator(cpu=True)
    rank = accelerator.process_index
    seam = FleetGeneration(
        FleetSettings(
            *(NoGenerators(), lambda: TOKEN, "127.0.0.1", 0, Deadlines(generators_s=100), RecordingObserver()),
            is_asked_to_end=lambda: rank == 1,
        ),
        seed=1,
        model=AutoModelForCausalLM.from_pretrained(MODEL),
        accelerator=accelerator,
        processing_class=AutoTokenizer.from_pretrained(MODEL),
        max_completion_length=12,
    )
    seam.sync_weights()
    seam.may_break_off = True
    result = {
        "wait": wait(seam),
        "may break off": seam.may_break_off,
        "any": [is_so_on_any_rank(rank == 1), is_so_on_any_rank(False)],
    }
    (OUT / f"rank{rank}.json").write_text(json.dumps(result))
    accelerator.end_training()


def wait(seam: FleetGeneration) -> str:
    try:
        seam.generate([[1, 2]] * 2, None, 2)
    except AskedToEnd as error:
        return f"{error.failure.reason}: {error}"
    return "it got something"


if __name__ == "__main__":
    main()
