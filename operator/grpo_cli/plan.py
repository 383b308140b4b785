"""A run that the API server would take, as the checks beyond the CRD look at it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from grpo_cli.batches import Batch, batch_of
from grpo_operator.api.spec import GRPORunSpec


@dataclass(frozen=True)
class Plan:
    spec: GRPORunSpec
    recipe: Mapping[str, Any]
    """In today's keys."""
    defaults: Mapping[str, Any]
    """TRL's."""
    rows: int | None = None
    """To train on, where its author says so."""
    eval_rows: int | None = None
    """To evaluate on, likewise."""

    def value(self, key: str) -> Any:
        """The recipe's, or TRL's where the recipe is silent. Null is said: the API server keeps it where TRL has it."""
        return self.recipe.get(key, self.defaults.get(key))

    def sets(self, key: str) -> bool:
        return self.recipe.get(key) is not None

    @property
    def batch(self) -> Batch:
        return batch_of(self.spec, self.value)

    @property
    def total_steps(self) -> int | None:
        """Optimizer steps of the whole run; None where that depends on rows that nobody has counted."""
        if self.value("max_steps") > 0:
            return int(self.value("max_steps"))
        return None if self.rows is None else self.batch.total_steps(self.rows, self.value("num_train_epochs"))
