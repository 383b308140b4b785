"""What a learner has measured and not told yet, in a checkpoint: means over the steps since the last log, where a recipe logs
more seldom than it saves, and how many completions of the last steps have lost their reward.

Each rank has its own: TRL and transformers take the mean over ranks when they log.
"""

import json
from pathlib import Path
from typing import Any

import torch

from grpo_trainer.storage.checkpoint_files import statistics_of_rank


def save_statistics(learner: Any, folder: Path) -> None:
    statistics = {
        "metrics": learner._metrics["train"],
        "loss": learner._tr_loss.item(),
        "logged_losses": learner._total_loss_scalar,
        "last_logged_step": learner._globalstep_last_logged,
        "rewards": learner.watch.state(),
    }
    (folder / statistics_of_rank(learner.args.process_index)).write_text(json.dumps(statistics, default=float))


def load_statistics(learner: Any, folder: Path) -> None:
    """Nothing, of a checkpoint that an older image wrote."""
    file = folder / statistics_of_rank(learner.args.process_index)
    if not file.exists():
        return
    statistics = json.loads(file.read_text())
    learner._metrics["train"].update(statistics["metrics"])
    learner._tr_loss.fill_(torch.tensor(statistics["loss"]))
    learner._total_loss_scalar = statistics["logged_losses"]
    learner._globalstep_last_logged = statistics["last_logged_step"]
    learner.watch.restore(statistics["rewards"])
