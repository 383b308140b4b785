"""The process group and the device: NCCL and bfloat16 on GPUs, gloo and float32 on CPUs. What follows is one code path.

accelerate takes "no GPU" to mean "no DeepSpeed", and TrainingArguments builds the distributed state itself. So the
state is built here first, and TrainingArguments is told to use it.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from grpo_contract.config import Deadlines, Device
from grpo_trainer.instruments.main_thread import MAIN_THREAD, Step
from grpo_trainer.rendezvous import meeting

if TYPE_CHECKING:
    from accelerate import PartialState

BACKENDS: Final[dict[Device, str]] = {"cuda": "nccl", "cpu": "gloo"}

COMMON_ARGUMENTS: Final[dict[str, Any]] = {
    "accelerator_config": {"use_configured_state": True},
    "use_cpu": False,  # even on CPUs: True would keep accelerate out of its DeepSpeed branch
}

# bfloat16 is slower than float32 on CPUs, and comparisons of log-probabilities with the generators need float32.
CPU_ARGUMENTS: Final[dict[str, Any]] = {"bf16": False, "fp16": False, "tf32": None, "dataloader_pin_memory": False}


@contextmanager
def process_group(device: Device, deadlines: Deadlines) -> Iterator["PartialState"]:
    """Joined to the process group under DeepSpeed. Must come before any TrainingArguments.

    A rank that is done leaves the group: an interpreter that ends with gloo's threads still running aborts now and then
    ("terminate called without an active exception", pytorch/pytorch#190489), and a run that had finished would have
    failed. A rank that fails does not, since leaving can wait for the collectives of the others.
    """
    os.environ["ACCELERATE_USE_DEEPSPEED"] = "true"
    if device == "cpu":
        os.environ["DS_ACCELERATOR"] = "cpu"
        compile_nothing()
    from accelerate import PartialState
    from torch.distributed import distributed_c10d

    # DeepSpeed makes groups of its own and gives them no time-out: torch's is ten minutes with NCCL.
    timeout = timedelta(seconds=deadlines.library_s)
    distributed_c10d.default_pg_timeout = distributed_c10d.default_pg_nccl_timeout = timeout
    with meeting(deadlines.rendezvous_s):
        with MAIN_THREAD.within(Step.RENDEZVOUS):
            ranks = PartialState(backend=BACKENDS[device], timeout=timeout)
        yield ranks
        ranks.destroy_process_group()


def collectives_begun() -> int:
    """By this process, in all of its groups: torch counts them."""
    from torch.distributed import distributed_c10d

    groups = list(distributed_c10d._world.pg_map)
    return sum(group._get_sequence_number_for_group() for group in groups)


def compile_nothing() -> None:
    """Declare that none of DeepSpeed's extensions can be built here, so that no pod needs a compiler.

    DeepSpeed would compile a shared-memory collective when communication starts; gloo does its work as well.
    """
    import deepspeed.ops

    deepspeed.ops.__compatible_ops__ = {}  # DeepSpeed's table of what it may build, which it looks into first


def training_arguments(device: Device) -> dict[str, Any]:
    """What TRL's GRPOConfig must be told about the device."""
    return COMMON_ARGUMENTS | (CPU_ARGUMENTS if device == "cpu" else {})
