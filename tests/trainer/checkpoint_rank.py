"""One rank that looks for the checkpoint to resume from: `checkpoint_rank.py CONFIG`, its place in the environment."""

import sys
from pathlib import Path

import torch

from grpo_contract.config import Deadlines
from grpo_contract.files import checkpoint_folder
from grpo_contract.pod import read_config
from grpo_trainer import device
from grpo_trainer.storage.resuming import find_checkpoint


def main() -> None:
    config = read_config(Path(sys.argv[1]))
    with device.process_group("cpu", Deadlines()) as ranks:
        print("looking", flush=True)
        checkpoint = find_checkpoint(Path(checkpoint_folder(config.name, config.uid))).checkpoint
        print(f"resumes from {checkpoint.folder if checkpoint else None}", flush=True)
        ranks.wait_for_everyone()  # the ranks meet at rank 0, which must not leave first
    print(f"in a process group: {torch.distributed.is_initialized()}", flush=True)


if __name__ == "__main__":
    main()
