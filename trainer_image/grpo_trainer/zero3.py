"""DeepSpeed's configuration: ZeRO stage 3, every parameter, gradient and optimizer state split over all ranks."""

from typing import Any

from grpo_contract.config import Device


def zero3_config(device: Device) -> dict[str, Any]:
    """Values "auto" are filled in from the recipe by transformers."""
    return {
        "zero_optimization": {
            "stage": 3,
            "overlap_comm": device == "cuda",  # needs streams
            "contiguous_gradients": True,
            "reduce_bucket_size": "auto",
            "stage3_prefetch_bucket_size": "auto",
            # Parameters below the threshold stay whole on every rank. On CPU models are small: nothing may stay whole.
            "stage3_param_persistence_threshold": "auto" if device == "cuda" else 0,
            "stage3_gather_16bit_weights_on_model_save": True,
        },
        "bf16": {"enabled": "auto"},
        "fp16": {"enabled": "auto"},
        "train_batch_size": "auto",
        "train_micro_batch_size_per_gpu": "auto",
        "gradient_accumulation_steps": "auto",
        "gradient_clipping": "auto",
        "zero_allow_untested_optimizer": True,  # the optimizer is the recipe's choice
        "wall_clock_breakdown": False,
        "steps_per_print": 1_000_000_000,
    }
