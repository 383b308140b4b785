"""Weights & Biases: one run of theirs for all attempts of a run, on the volume where no server takes it."""

import logging
import os
from pathlib import Path
from typing import Any, Final

import wandb

from grpo_contract.recipe.trackers import WANDB_SAYS_WHERE_TO
from grpo_trainer.trackers.records import Record, Start, tracked

STEP: Final = "train/global_step"
PROJECT: Final = "huggingface"
"""transformers' default, so that a run lies beside those that were made by hand."""
LOGIN_FILE: Final = Path("~/.netrc")

log = logging.getLogger(__name__)


class WandbRun:
    def __init__(self, start: Start) -> None:
        self.run: Any = begin(start, None if says_where_to() else "offline")
        self.run.define_metric(STEP)
        self.run.define_metric("*", step_metric=STEP, step_sync=True)

    def log(self, record: Record) -> None:
        tables = {}
        if record.completions is not None:
            columns = list(record.completions)
            rows = [list(row) for row in zip(*record.completions.values(), strict=True)]
            tables["completions"] = wandb.Table(columns=columns, data=rows, allow_mixed_types=True)
        self.run.log({**tracked(record.values), STEP: record.step, **tables})

    def finish(self) -> None:
        self.run.finish()


def says_where_to() -> bool:
    return any(name in os.environ for name in WANDB_SAYS_WHERE_TO) or LOGIN_FILE.expanduser().exists()


def begin(start: Start, mode: Any) -> Any:
    """Where the server does not answer or does not want it, the run is kept on the volume."""
    folder = start.folder / "wandb"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        return wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            name=start.name,
            id=start.id,
            resume="allow",
            config=dict(start.config),
            dir=folder,
            mode=mode,
        )
    except (wandb.Error, OSError) as error:
        if mode == "offline":
            raise
        log.warning("wandb: %s: %s. The run is kept in %s: `wandb sync` sends it.", type(error).__name__, error, folder)
        wandb.teardown()  # or its service still holds the id
        return begin(start, "offline")
