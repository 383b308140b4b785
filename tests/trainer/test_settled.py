"""Which objects Python's garbage collector no longer goes through."""

import gc
import weakref
from collections.abc import Iterator

import pytest
from transformers import TrainerControl, TrainerState, TrainingArguments

from grpo_trainer.settled import SettledObjects


class Knot:
    """Garbage that only the collector finds."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture
def callback() -> Iterator[SettledObjects]:
    assert gc.get_freeze_count() == 0
    yield SettledObjects()
    gc.unfreeze()


def test_what_is_there_after_the_first_step_is_not_looked_at_again(
    callback: SettledObjects, tmp_path_factory: pytest.TempPathFactory
) -> None:
    arguments = TrainingArguments(output_dir=str(tmp_path_factory.mktemp("output")))
    garbage = weakref.ref(Knot())
    kept = Knot()
    callback.on_step_end(arguments, TrainerState(), TrainerControl())
    assert garbage() is None
    assert kept not in gc.get_objects()
    of_first_step = gc.get_freeze_count()
    later = Knot()
    callback.on_step_end(arguments, TrainerState(), TrainerControl())
    assert gc.get_freeze_count() == of_first_step
    assert later in gc.get_objects()
