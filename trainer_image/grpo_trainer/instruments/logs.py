"""What a learner says: one line per event on standard output, and silence from libraries unless something is wrong."""

import logging
import os
import sys
import warnings
from typing import Final

from grpo_contract import logs
from grpo_contract.labels import Role
from grpo_contract.log_entry import STDERR, STDOUT, rank_prefix
from grpo_trainer.instruments.printed import Printed

# {logger: its least level}. At INFO libraries tell what is no news, on every rank.
LEVELS: Final = {
    **dict.fromkeys(
        ("accelerate", "datasets", "deepspeed", "DeepSpeed", "httpx", "torch", "transformers", "trl", "vllm"),
        logging.WARNING,
    ),
    "torch.utils.flop_counter": logging.ERROR,  # there is no triton on CPUs, and no need for it
    "grpo_trainer.reports.partition": logging.INFO,  # each rank has its own
}
QUIET_ENVIRONMENT: Final = {
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",  # transformers listens to this one, too
    "TRANSFORMERS_VERBOSITY": "warning",
}


class StepOfLog(logging.Filter):
    """Adds the step that is being made, once there is one, to what the process says."""

    def __init__(self) -> None:
        super().__init__()
        self.number: int | None = None
        """Counted from 1."""

    def filter(self, record: logging.LogRecord) -> bool:
        if self.number is not None:
            record.step = self.number
        return True


STEP: Final = StepOfLog()
"""A process has one."""


def set_up_logging() -> None:
    """Rank 0 tells everything; other ranks tell what they hold, and speak up when something is wrong."""
    rank = int(os.environ["RANK"]) if "RANK" in os.environ else None
    text_format = f"%(asctime)s %(levelname)s {rank_prefix(rank)}%(message)s"
    speaking = logs.handler(sys.stdout, Role.LEARNER, text_format, rank, shared=True)
    speaking.addFilter(STEP)
    logging.basicConfig(handlers=[speaking], level=logging.WARNING if rank else logging.INFO, force=True)
    for name, level in LEVELS.items():
        logging.getLogger(name).setLevel(level)
    warnings.filterwarnings("ignore", category=FutureWarning)
    if logs.are_json():
        logging.captureWarnings(True)
        sys.stdout = Printed(sys.stdout, speaking, STDOUT, logging.INFO)
        sys.stderr = Printed(sys.stderr, speaking, STDERR, logging.WARNING)
    os.environ |= QUIET_ENVIRONMENT | os.environ
