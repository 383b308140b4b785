"""One rank of a learner that gathers a model which is split by ZeRO-3 and publishes it.

python -m trainer.ranks 2 gathering_rank.py OUT

Writes OUT/rank<R>.json: what was gathered at once, at most, by how much this rank's memory grew in a sync, and whether what
was published in the end, of two types, was right.
"""

import json
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import closing
from itertools import starmap
from pathlib import Path

import deepspeed
import torch
from deepspeed.runtime.zero.partition_parameters import ZeroParamStatus

from grpo_contract.config import Deadlines
from grpo_trainer import device
from grpo_trainer.fleet import gathering
from grpo_trainer.fleet.gathering import gathered, whole_bytes
from grpo_trainer.fleet.generation import weight_tensor
from grpo_trainer.fleet.snapshot import Snapshot
from grpo_trainer.fleet.weights import WeightServer

LAYERS, WIDTH = 64, 1024
"""256 MiB of float32, in parameters of 4 MiB."""
BUCKET_BYTES = 64 << 20
LARGE_BYTES = 80 << 20
"""A parameter that is larger than a bucket."""


def main() -> None:
    gathering.BUCKET_BYTES = BUCKET_BYTES  # type: ignore[misc]
    with device.process_group("cpu", Deadlines()) as ranks:
        with deepspeed.zero.Init(config_dict_or_path={"zero_optimization": {"stage": 3}, "train_batch_size": 2}):
            model = torch.nn.Sequential(*(torch.nn.Linear(WIDTH, WIDTH, bias=False) for _ in range(LAYERS)))
            large = torch.nn.Linear(WIDTH, LARGE_BYTES // 4 // WIDTH, bias=False)
            small = torch.nn.Linear(WIDTH, WIDTH, bias=False, dtype=torch.bfloat16)
        with closing(WeightServer("127.0.0.1", 0, deadline_s=5)) as server:
            snapshot = Snapshot(server)
            at_once = [sync(model, snapshot, ranks.is_main_process) for _ in range(2)]
            before = reset_peak()
            at_once.append(sync(model, snapshot, ranks.is_main_process))
            result = {"at once": max(at_once), "grew by": peak() - before, "shard": shard_bytes(model)}
            result["at once, large"] = sync(model.append(large), snapshot, ranks.is_main_process)
            sync(model.insert(1, small), snapshot, ranks.is_main_process)
            with deepspeed.zero.GatheredParameters(list(model.parameters())):
                whole = [bytes(weight_tensor("", parameter.data).data) for parameter in model.parameters()]
            if ranks.is_main_process:
                with server.offering() as offering:
                    result["right"] = [bytes(tensor.data) for tensor in offering.tensors] == whole
        Path(sys.argv[1], f"rank{ranks.process_index}.json").write_text(json.dumps(result))
        ranks.wait_for_everyone()


def sync(model: torch.nn.Module, snapshot: Snapshot, is_main: bool) -> int:
    """Returns the most that was gathered at once."""
    most = 0
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.ds_tensor[::100] += 1

    def watched() -> Iterator[tuple[str, torch.Tensor]]:
        nonlocal most
        for name, tensor in gathered(model.named_parameters(), deepspeed.zero.GatheredParameters):
            most = max(most, gathered_bytes(model))
            yield name, tensor
            del tensor

    if is_main:
        snapshot.publish(starmap(weight_tensor, watched()))
    else:
        deque(watched(), maxlen=0)
    assert gathered_bytes(model) == 0
    return most


def gathered_bytes(model: torch.nn.Module) -> int:
    whole = (parameter for parameter in model.parameters() if parameter.ds_status is ZeroParamStatus.AVAILABLE)
    return sum(whole_bytes(parameter) for parameter in whole)


def shard_bytes(model: torch.nn.Module) -> int:
    return sum(parameter.ds_tensor.numel() * parameter.element_size() for parameter in model.parameters())


def reset_peak() -> int:
    """Resident memory now, in bytes; `peak` is the most of it from here on."""
    Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def peak() -> int:
    return _status("VmHWM")


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


if __name__ == "__main__":
    main()
