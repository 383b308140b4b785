"""Our side of test_parity.py: production code but for the generators, on one rank, a run for each case.

parity_learner.py CONFIG SCRIPT {plain|zero3} CASE...
"""

import sys
from pathlib import Path
from unittest.mock import patch

import torch
from accelerate.state import AcceleratorState

from grpo_contract.config import Deadlines
from grpo_contract.pod import read_config
from grpo_trainer import device, training
from grpo_trainer.fleet import generation
from grpo_trainer.instruments.logs import set_up_logging
from grpo_trainer.instruments.metrics import LearnerMetrics
from grpo_trainer.instruments.progress import ProgressBoard
from trainer.parity_inputs import CASES, scripted
from trainer.scripted_learner import plain_process_group, use_plain_ddp


def main() -> None:
    config, script, mode, *cases = sys.argv[1:]
    set_up_logging()
    torch.set_num_threads(1)
    if mode == "plain":
        use_plain_ddp()
    with (
        device.process_group("cpu", Deadlines()) if mode == "zero3" else plain_process_group(),
        patch.object(generation, "FleetGeneration", scripted(Path(script))),
    ):
        for case in cases:
            train(Path(config), case)


def train(config: Path, case: str) -> None:
    run = read_config(config)
    recipe = run.recipe | CASES[case]
    training.train(run.model_copy(update={"name": case, "recipe": recipe}), LearnerMetrics(None), ProgressBoard(1))
    AcceleratorState._reset_state()  # the process group stays


if __name__ == "__main__":
    main()
