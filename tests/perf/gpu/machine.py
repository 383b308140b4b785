"""`python -m perf.gpu.machine OUT`: what the figures were taken on."""

import os
import sys
from importlib import metadata
from pathlib import Path
from typing import Final

import torch

from perf.gpu.snapshot import seconds
from perf.gpu.steps import FORMULA
from perf.result import Figures, write

PACKAGES: Final = ("torch", "transformers", "trl", "deepspeed", "accelerate")
MATRIX: Final = 8192
PRODUCTS: Final = 50


def main() -> None:
    versions = {name: metadata.version(name) for name in PACKAGES}
    write({"cpus": os.cpu_count(), **versions, "mfu": FORMULA, **gpu()}, Path(sys.argv[1]))


def gpu() -> Figures:
    if not torch.cuda.is_available():
        return {"gpu": None}
    of_gpu = torch.cuda.get_device_properties(0)
    return {
        "gpu": of_gpu.name,
        "gpu_memory_gib": round(of_gpu.total_memory / 2**30, 1),
        "matrix_tflops": matrix_tflops(),
    }


def matrix_tflops() -> float:
    """Of a large product of bfloat16: what of the peak there is to be had."""
    left, right = (torch.randn(MATRIX, MATRIX, device="cuda", dtype=torch.bfloat16) for _ in range(2))

    def multiply() -> None:
        for _ in range(PRODUCTS):
            left @ right

    multiply()
    return round(2 * MATRIX**3 * PRODUCTS / seconds(multiply) / 1e12)


if __name__ == "__main__":
    main()
