"""A learner process whose look-up of generators never ends: `hung_fleet_rank.py MODEL MAX_STALENESS`.

With a staleness of 0 it waits for generators to take new weights, else for completions.
"""

import sys
import time

from accelerate import Accelerator
from transformers import AutoModelForCausalLM, AutoTokenizer

from grpo_contract.config import Deadlines
from grpo_trainer.device import collectives_begun
from grpo_trainer.fleet.generation import FleetGeneration, FleetSettings
from grpo_trainer.instruments.logs import set_up_logging
from grpo_trainer.instruments.main_thread import MAIN_THREAD
from grpo_trainer.watchdog import Watchdog
from trainer.recording_observer import RecordingObserver
from trainer.running_generator import TOKEN

SHORT = Deadlines(generators_s=0.5, generate_s=0.5, control_s=0.05, weight_sync_s=0.05)


class HungNames:
    def urls(self) -> list[str]:
        time.sleep(3600)
        return []


def main() -> None:
    set_up_logging()
    model, max_staleness = sys.argv[1:]
    seam = FleetGeneration(
        FleetSettings(
            *(HungNames(), lambda: TOKEN, "127.0.0.1", 0, SHORT, RecordingObserver()),
            max_staleness=int(max_staleness),
        ),
        model=AutoModelForCausalLM.from_pretrained(model),
        accelerator=Accelerator(cpu=True),
        processing_class=AutoTokenizer.from_pretrained(model),
        max_completion_length=12,
        seed=1,
    )
    MAIN_THREAD.has_loaded()
    Watchdog(SHORT, collectives_begun)
    seam.sync_weights()
    seam.generate([[1, 2]] * 2, None, 2)


if __name__ == "__main__":
    main()
