"""What a reward process finds in its environment: what training has, but for what would make it a rank of the run, and the
code of functions that the run brings along, which would take the place of training's own modules of the same names."""

import os
from collections.abc import Mapping
from typing import Final

from grpo_contract.config import Device
from grpo_contract.environment import REWARD_CODE

OF_RANKS: Final = ("MASTER_", "TORCHELASTIC_", "ACCELERATE_")
"""With these, a function that asks torch or accelerate for its place in the run would wait to join the run."""

UNBUFFERED: Final = {"PYTHONUNBUFFERED": "1"}
"""What a function has printed, up to its last line, is in the log also when its process is killed."""


def environment_of_process(ours: Mapping[str, str], device: Device) -> dict[str, str]:
    theirs = {name: value for name, value in ours.items() if not name.startswith(OF_RANKS)} | UNBUFFERED
    return theirs | module_path(ours) | (own_gpu(ours) if device == "cuda" else {})


def module_path(ours: Mapping[str, str]) -> dict[str, str]:
    paths = [ours[name] for name in (REWARD_CODE, "PYTHONPATH") if ours.get(name)]
    return {"PYTHONPATH": os.pathsep.join(paths)} if paths else {}


def own_gpu(ours: Mapping[str, str]) -> dict[str, str]:
    """The rank's GPU is the only one, and so the one that `cuda` means, as it does in training."""
    rank, visible = int(ours.get("LOCAL_RANK", "0")), ours.get("CUDA_VISIBLE_DEVICES")
    return {"CUDA_VISIBLE_DEVICES": visible.split(",")[rank] if visible else str(rank), "LOCAL_RANK": "0"}
