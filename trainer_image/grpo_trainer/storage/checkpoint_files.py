"""Names of files in the folders of checkpoints and models."""

from fnmatch import fnmatch
from typing import Final

MODEL_CARD: Final = "README.md"
TRAINER_STATE: Final = "trainer_state.json"
"""Its log_history is the run's curve."""
TRAIN_RESULTS: Final = "train_results.json"
"""transformers' summary of the attempt that made the last step: its seconds, its steps per second, its mean loss."""
EVAL_RESULTS: Final = "eval_results.json"
"""transformers' results of the evaluation after the last step."""
ADAPTER_CONFIG: Final = "adapter_config.json"
"""Of peft: what is saved is an adapter."""
ADAPTER_WEIGHTS: Final = "adapter_model.safetensors"
QUANTISATION: Final = "quantization_config.json"
"""transformers', beside an adapter whose base was quantised."""
LATEST: Final = "latest"
"""Names the folder of DeepSpeed's states."""
LATEST_UNIVERSAL: Final = "latest_universal"
"""Names that of its universal checkpoint."""
BATCHES: Final = "batches.json"
"""How many completions a step of the run learns from; see `batches.py`."""
SCHEDULER: Final = "scheduler.pt"
MIDWAY: Final = "midway_{}.pt"
"""Of each rank; see `midway.py`."""
ENTROPY_CONTROL: Final = "entropy_ctrl_state.json"
"""TRL's, with use_adaptive_entropy."""
REFERENCE: Final = "reference.safetensors"
"""The reference policy, where it moves."""
MARKER: Final = "complete.json"
"""Makes a checkpoint count; of the run alone."""
PARTIAL_MARKER: Final = f".{MARKER}"
NEWEST: Final = "newest-step"
"""Beside checkpoints: the step of the newest that was complete. Without its marker that one is damaged, any other was never complete."""
SET_ASIDE: Final = "damaged-"
"""Before the name of a checkpoint that no attempt goes on from any more."""

# What a checkpoint holds beside a model: needed to resume, not to use it.
NEEDED_TO_RESUME: Final = (
    "global_step*",
    LATEST,
    LATEST_UNIVERSAL,
    BATCHES,
    "zero_to_*.py",
    "rng_state*.pth",
    REFERENCE,
    SCHEDULER,
    MIDWAY.format("*"),
    ENTROPY_CONTROL,
    MARKER,
    PARTIAL_MARKER,
)


def is_needed_to_resume(name: str) -> bool:
    return any(fnmatch(name, pattern) for pattern in NEEDED_TO_RESUME)


def midway_file(rank: int) -> str:
    return MIDWAY.format(rank)
