"""What a learner says: one line per event on standard output, and silence from libraries unless something is wrong."""

import logging
import os
import sys
import warnings
from typing import Final

FORMAT: Final = "%(asctime)s %(levelname)s %(message)s"

# {logger: its least level}. At INFO libraries tell what is no news, on every rank.
LEVELS: Final = {
    **dict.fromkeys(
        ("accelerate", "datasets", "deepspeed", "DeepSpeed", "httpx", "torch", "transformers", "trl", "vllm"),
        logging.WARNING,
    ),
    "torch.utils.flop_counter": logging.ERROR,  # there is no triton on CPUs, and no need for it
    "torch.distributed.elastic.multiprocessing.api": logging.CRITICAL,  # the launcher says how a worker ended
    "grpo_trainer.reports.partition": logging.INFO,  # each rank has its own
}
QUIET_ENVIRONMENT: Final = {
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",  # transformers listens to this one, too
    "TRANSFORMERS_VERBOSITY": "warning",
}


def set_up_logging() -> None:
    """Rank 0 tells everything; other ranks tell what they hold, and speak up when something is wrong."""
    rank = int(os.environ.get("RANK", "0"))
    prefix = "" if rank == 0 else f"[rank {rank}] "
    logging.basicConfig(
        stream=sys.stdout,
        format=FORMAT.replace("%(message)s", f"{prefix}%(message)s"),
        level=logging.INFO if rank == 0 else logging.WARNING,
        force=True,
    )
    for name, level in LEVELS.items():
        logging.getLogger(name).setLevel(level)
    warnings.filterwarnings("ignore", category=FutureWarning)
    os.environ |= QUIET_ENVIRONMENT | os.environ
