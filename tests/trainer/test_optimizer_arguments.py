"""What the contract says of optim_args, against transformers itself."""

import pytest
from transformers.trainer_optimizer import _parse_optim_args

from unit.test_optimizer_arguments import READABLE, UNREADABLE


@pytest.mark.parametrize("text", UNREADABLE)
def test_what_is_refused_transformers_cannot_read(text: str) -> None:
    with pytest.raises(ValueError, match="unpack"):
        _parse_optim_args(text)


@pytest.mark.parametrize("text", READABLE)
def test_what_is_taken_it_reads(text: str) -> None:
    assert all(_parse_optim_args(text).values())
