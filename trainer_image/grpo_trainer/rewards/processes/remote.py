"""The reward functions of a rank as TRL sees them: coroutines that wait for reward processes.

TRL runs coroutines side by side, so that a function that hangs holds up no other.
"""

import asyncio
import os
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Final

from grpo_contract.config import Deadlines, Device, RewardsConfig
from grpo_contract.rewards import is_url, label_of
from grpo_trainer.rewards.arguments import RewardArguments
from grpo_trainer.rewards.processes.batch import Batch
from grpo_trainer.rewards.processes.crew import Crew
from grpo_trainer.rewards.processes.division import divided
from grpo_trainer.rewards.processes.environment import environment_of_process
from grpo_trainer.rewards.processes.messages import Load
from grpo_trainer.rewards.processes.process import out_of_time
from grpo_trainer.rewards.registry import BUILT_IN
from grpo_trainer.rewards.score import Score
from grpo_trainer.rewards.watch import RewardWatch

FEWEST: Final = 2
"""Processes of a rank for the built-in functions: one that hangs does not hold up the other completions."""
MOST: Final = 4
OF_A_SERVICE: Final = 2
"""One for what came while others were being written, and one for the last completions, which need not wait for it."""
LAST_WORDS_S: Final = 1.0
"""After the end of a batch, for processes that are being killed to be named as the cause."""


class RewardProcesses:
    """Started at once and in the background; they end with the context."""

    def __init__(
        self,
        names: Sequence[str],
        arguments: RewardArguments,
        config: RewardsConfig,
        device: Device,
        deadlines: Deadlines,
        watch: RewardWatch,
    ) -> None:
        self.scoring_s = deadlines.scoring_s
        self.per_group = frozenset(config.per_group)
        self.watch = watch
        environment = environment_of_process(os.environ, device)
        self._crews: dict[str, Crew] = {}
        for group in by_process(names):
            size = num_processes(group[0])
            load = Load(tuple(group), arguments, config.timeout_s, deadlines.rewards_loading_s)
            crew = Crew(load, size, config.timeout_s, environment)
            self._crews |= dict.fromkeys(group, crew)
        self._names = tuple(names)
        self.functions = {label_of(name): RemoteReward(name, self._crews[name], self) for name in names}
        """By label."""

    def __enter__(self) -> "RewardProcesses":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for crew in self._crews.values():
            crew.close()

    def required_columns(self) -> dict[str, Sequence[str]]:
        """By name of the function. Waits until all of them are loaded.

        Raises:
            UserError, RunFailure: one cannot be loaded, or not in time.
        """
        return {name: self._crews[name].signatures()[name].required_columns for name in self._names}


class RemoteReward:
    """A reward function in TRL's eyes. Where completions come one after the other, it may be told of them before TRL calls."""

    def __init__(self, name: str, crew: Crew, processes: RewardProcesses) -> None:
        self._name = name
        self._crew = crew
        self._processes = processes
        self.scores_parts = name in BUILT_IN or is_url(name) or name in processes.per_group
        """Needs no whole batch."""
        self._begun: dict[str, Batch] = {}
        self.called_for = ""
        """Name of the one that TRL calls for next, if that has begun."""

    def begin(self, name: str, trainer_state: Any, columns: Mapping[str, Sequence[Any]]) -> None:
        """A batch whose completions are still to be written; `columns` are `prompts` and those of the data set."""
        self._begun[name] = self._new_batch(trainer_state, columns)

    def add(
        self, name: str, places: Sequence[int], completions: Sequence[Any], completion_ids: Sequence[list[int]]
    ) -> None:
        """Of a batch that has begun, those that are there now. From any thread, and so perhaps when it has just been forgotten."""
        if (batch := self._begun.get(name)) is not None:
            self._add(batch, places, completions=completions, completion_ids=completion_ids)

    def forget(self) -> None:
        """What has begun is not called for any more."""
        for batch in self._begun.values():
            batch.give_up(out_of_time())
        self._begun.clear()

    async def __call__(
        self,
        *,
        trainer_state: Any,
        log_extra: Any,
        log_metric: Any,
        completions: Sequence[Any],
        completion_ids: Sequence[list[int]],
        **columns: Sequence[Any],
    ) -> list[Score]:
        """FAILED, or None, where there is no score; the watch is told why."""
        batch = self._begun.pop(self.called_for, None) or self._new_batch(trainer_state, columns)
        batch.ends_at = time.monotonic() + self._processes.scoring_s
        self._add(batch, range(len(completions)), completions=completions, completion_ids=completion_ids)
        left_s = batch.ends_at + LAST_WORDS_S - time.monotonic()
        await asyncio.wait([asyncio.wrap_future(batch.done)], timeout=left_s)
        batch.give_up(out_of_time())  # where a process is being started, nothing else looks at the clock
        outcome = batch.done.result()
        for name, values in outcome.extras.items():
            log_extra(name, values)
        for name, value in outcome.metrics:
            log_metric(name, value)
        self._processes.watch.count(label_of(self._name), outcome.mishaps.values())
        mishaps = outcome.mishaps
        return [mishaps[place].score if place in mishaps else score for place, score in enumerate(outcome.scores)]

    def _new_batch(self, trainer_state: Any, columns: Mapping[str, Sequence[Any]]) -> Batch:
        division = divided(self._name, columns["prompts"], per_group=self._name in self._processes.per_group)
        state = None if self._name in BUILT_IN else dict(vars(trainer_state))  # TRL goes on to change it
        return Batch(self._name, self._wanted(columns), state, division)

    def _add(self, batch: Batch, places: Sequence[int], **columns: Sequence[Any]) -> None:
        batch.add(places, self._wanted(columns))
        self._crew.submit(batch)

    def _wanted(self, columns: Mapping[str, Sequence[Any]]) -> Mapping[str, Sequence[Any]]:
        """Of the built-in functions, only what they take."""
        if self._name not in BUILT_IN:
            return columns
        parameters = self._crew.signatures()[self._name].parameters
        return {name: values for name, values in columns.items() if name in parameters}


def by_process(names: Iterable[str]) -> list[list[str]]:
    groups: dict[str, list[str]] = defaultdict(list)
    for name in names:
        groups[process_of(name)].append(name)
    return list(groups.values())


def process_of(name: str) -> str:
    """The built-in functions share theirs; others have one for each module, since its functions may share what is in it. A
    URL has its own, since it only waits."""
    if name in BUILT_IN:
        return ""
    return name if is_url(name) else name.partition(":")[0]


def num_processes(name: str) -> int:
    """For the function, and those that share its process."""
    if is_url(name):
        return OF_A_SERVICE
    if name not in BUILT_IN:
        return 1
    ranks = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return max(FEWEST, min(MOST, len(os.sched_getaffinity(0)) // ranks))
