"""A rank whose training is one of these, which stop or go on: `watchdog_rank.py CONFIG TRAINING`, its place in the environment."""

import ctypes
import os
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from deepspeed.utils import groups
from torch.distributed import all_reduce, distributed_c10d

from grpo_contract.config import RunConfig
from grpo_trainer import training, worker
from grpo_trainer.instruments.main_thread import MAIN_THREAD, Step
from grpo_trainer.watchdog import LOOK_EVERY_S

ROUNDS = 3
BETWEEN_S = 0.2
IS_FIRST = os.environ["RANK"] == "0"


def meet() -> None:
    """A collective operation in a group of DeepSpeed's."""
    all_reduce(torch.ones(1), group=groups._get_data_parallel_group())


def meet_often() -> None:
    for number in range(ROUNDS):
        meet()
        print(f"round {number}", flush=True)


def a_rank_is_stopped(config: RunConfig) -> None:
    """The other one by the test, while it waits in a collective operation."""
    meet_often()
    while True:
        time.sleep(BETWEEN_S if IS_FIRST else 0)
        meet()


def a_rank_is_stopped_while_it_loads(config: RunConfig) -> None:
    with MAIN_THREAD.within(Step.LOAD):
        a_rank_is_stopped(config)


def a_drive_hangs(config: RunConfig) -> None:
    """As does a FIFO that nobody writes into."""
    meet_often()
    drive = Path(sys.argv[1]).with_name("drive")
    os.mkfifo(drive)
    with MAIN_THREAD.within(Step.CHECKPOINT):
        drive.read_bytes()


def rows_do_not_come(config: RunConfig) -> None:
    def next_row() -> None:
        time.sleep(3600)

    meet_often()
    next_row()


def an_extension_keeps_the_lock(config: RunConfig) -> None:
    """No thread of Python's runs meanwhile."""
    meet_often()
    time.sleep(2 * LOOK_EVERY_S)  # the last look has seen that it learns
    ctypes.PyDLL(None).sleep(3600)


def groups_tell_their_time_outs(config: RunConfig) -> None:
    backends = [group._get_backend(torch.device("cpu")) for group in distributed_c10d._world.pg_map]
    print("time-outs:", [backend.options._timeout.total_seconds() for backend in backends], flush=True)


def a_long_step(config: RunConfig) -> None:
    """Longer than any deadline in all, never between two collective operations."""
    ends_at = time.monotonic() + 3 * config.deadlines.collective_s
    while time.monotonic() < ends_at:
        time.sleep(0.3 * config.deadlines.collective_s)
        meet()


def a_library_times_out(config: RunConfig) -> None:
    """Without a watchdog that comes before."""
    group = torch.distributed.new_group([0, 1], timeout=timedelta(seconds=2))
    meet_often()
    if IS_FIRST:
        all_reduce(torch.ones(1), group=group)


def main() -> None:
    os.environ["LOCAL_RANK"] = os.environ["RANK"]  # else both would serve at the same port
    play = globals()[sys.argv[2]]

    def train(config: RunConfig, *_: Any) -> Path:
        meet()  # one may have started later
        MAIN_THREAD.has_loaded()
        play(config)
        print("trained", flush=True)
        return Path("model")

    training.train = train  # type: ignore[assignment]
    worker.main(sys.argv[1:])


if __name__ == "__main__":
    main()
