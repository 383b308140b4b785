"""What training draws its random numbers from, and a checkpoint keeps."""

import random

import numpy as np
import torch


class RandomState:
    """Of this process: Python's, NumPy's, and torch's on CPU and on its own GPU, as they are when this is made."""

    def __init__(self) -> None:
        self._of_python, self._of_numpy = random.getstate(), np.random.get_state()
        self._of_torch = torch.get_rng_state()
        self._of_gpu = torch.cuda.get_rng_state() if torch.cuda.is_available() else None

    def restore(self) -> None:
        random.setstate(self._of_python)
        np.random.set_state(self._of_numpy)
        torch.set_rng_state(self._of_torch)
        if self._of_gpu is not None:
            torch.cuda.set_rng_state(self._of_gpu)
