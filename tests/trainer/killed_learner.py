"""A rank of a learner as in scripted_learner.py, of which rank 1 is killed while it learns, in the middle of a step.

python -m trainer.ranks 2 killed_learner.py CONFIG zero3 OUT STEP
"""

import os
import signal
import sys
from typing import Any

from grpo_trainer.learner import Learner
from trainer import scripted_learner

KILLED_IN = int(sys.argv[4])


class KilledLearner(Learner):
    def _compute_loss(self, *args: Any, **kwargs: Any) -> Any:
        if self.args.process_index == 1 and self.state.global_step + 1 == KILLED_IN:
            os.kill(os.getpid(), signal.SIGKILL)
        return super()._compute_loss(*args, **kwargs)


if __name__ == "__main__":
    scripted_learner.ExaminedLearner = KilledLearner  # type: ignore[misc]
    scripted_learner.main()
