"""What ZeRO-3 made of the model: each rank says how many of its parameters it holds."""

import logging
from collections.abc import Iterable
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

log = logging.getLogger(__name__)


class PartitionReport(TrainerCallback):  # type: ignore[misc]
    """One line when training begins: DeepSpeed has taken the model over by then."""

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, model: Any, **_: Any
    ) -> None:
        held, whole = held_and_whole(model.parameters())
        log.info("ZeRO-3: rank %d of %d holds %d of %d parameters", args.process_index, args.world_size, held, whole)


def held_and_whole(parameters: Iterable[Any]) -> tuple[int, int]:
    """Numbers of elements: of this rank's partitions, and of the parameters.

    DeepSpeed leaves an empty tensor, with its part (padded to the same size on every rank) and the size of the whole as
    attributes. A parameter without them is not partitioned: it is held whole.
    """
    held = whole = 0
    for parameter in parameters:
        held += getattr(parameter, "ds_tensor", parameter).numel()
        whole += getattr(parameter, "ds_numel", parameter.numel())
    return held, whole
