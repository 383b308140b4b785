"""A rank as the launcher starts it, whose completions come from a script, and which holds still before those of step HELD.

held_worker.py OUT HELD {step|wait} CONFIG

OUT/held tells that it does. With `step` it goes on when OUT/go is there; with `wait` it waits as FleetGeneration does for
completions that do not come, and leaves the wait as that does when the pod is asked to end.
"""

import sys
import time
from pathlib import Path
from typing import Any

from grpo_contract.pod import read_config
from grpo_trainer import worker
from grpo_trainer.end_request import AskedToEnd, EndRequest
from grpo_trainer.packages import leave_out_unused

OUT, HELD, HOW, CONFIG = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]


class Holding:
    step = 0
    may_break_off = False

    def generate(self, *args: Any, **kwargs: Any) -> Any:
        self.step += 1
        if self.step == HELD:
            self.hold()
        return super().generate(*args, **kwargs)  # type: ignore[misc]

    def hold(self) -> None:
        (OUT / "held").touch()
        while not (OUT / "go").exists():
            if HOW == "wait" and self.may_break_off and EndRequest.of_pod().is_made():
                raise AskedToEnd("while completions were waited for")
            time.sleep(0.05)


def write_completions() -> None:
    from grpo_trainer.fleet import generation
    from trainer.scripted_learner import ScriptedGeneration

    class HeldGeneration(Holding, ScriptedGeneration):
        pass

    generation.FleetGeneration = HeldGeneration  # type: ignore[misc, assignment]


if __name__ == "__main__":
    leave_out_unused(read_config(Path(CONFIG)).recipe)  # as the worker does, before anything imports transformers
    write_completions()
    worker.main([CONFIG])
