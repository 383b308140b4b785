"""Which optimizers bitsandbytes is left in for: those that transformers takes from it."""

import pytest
from transformers.trainer_optimizer import _BITSANDBYTES_OPTIMIZERS
from transformers.training_args import OptimizerNames

from grpo_trainer.packages import needs_bitsandbytes

OF_BITSANDBYTES = {name.value for name in _BITSANDBYTES_OPTIMIZERS}


@pytest.mark.parametrize("name", [name.value for name in OptimizerNames])
def test_optimizers(name: str) -> None:
    assert needs_bitsandbytes({"optim": name}) is (name in OF_BITSANDBYTES)


def test_a_base_in_4_bit() -> None:
    assert needs_bitsandbytes({"load_in_4bit": True}) is True
    assert needs_bitsandbytes({"load_in_4bit": False, "optim": None}) is False
    assert needs_bitsandbytes({"optim": ["adamw_8bit"]}) is False
