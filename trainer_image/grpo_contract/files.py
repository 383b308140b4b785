"""Where things lie in the file systems of a run's pods."""

from pathlib import PurePosixPath
from typing import Final

CONFIG_FILE: Final = PurePosixPath("/etc/grpo/run.json")
TOKEN_FILE: Final = PurePosixPath("/etc/grpo-token/token")
TERMINATION_FILE: Final = PurePosixPath("/dev/termination-log")
TERMINATION_BYTES: Final = 4096
"""What the kubelet keeps of TERMINATION_FILE."""

SCRATCH: Final = PurePosixPath("/scratch")
"""An emptyDir, the only writable folder beside the volume: HOME, TMPDIR and caches lie below it."""

VOLUME: Final = PurePosixPath("/volume")
HUB_CACHE: Final = VOLUME / ".cache" / "huggingface"
RUNS: Final = VOLUME / "runs"


def is_on_volume(path: str) -> bool:
    """Below its root, whatever links there say."""
    place = PurePosixPath(path)
    return VOLUME in place.parents and ".." not in place.parts


def reward_code_folder(place: int) -> PurePosixPath:
    """Where learners find the keys of a ConfigMap in `spec.rewards.from`, by its place there."""
    return PurePosixPath("/etc/grpo-rewards") / str(place)


def run_folder(name: str, uid: str) -> PurePosixPath:
    """Everything that a run writes to the volume. The uid keeps a new run of an old name from resuming the old one."""
    return RUNS / f"{name}-{uid[:8]}"


def checkpoint_folder(name: str, uid: str) -> PurePosixPath:
    return run_folder(name, uid) / "checkpoints"


def completions_folder(name: str, uid: str) -> PurePosixPath:
    return run_folder(name, uid) / "completions"


def trackers_folder(name: str, uid: str) -> PurePosixPath:
    return run_folder(name, uid) / "trackers"


def benchmarks_folder(name: str, uid: str) -> PurePosixPath:
    """A folder for each model that is benchmarked, by `benchmarks.target_of`."""
    return run_folder(name, uid) / "benchmarks"


def model_folder(name: str, uid: str) -> PurePosixPath:
    return run_folder(name, uid) / "model"
