"""Reward processes as TRL uses them, for tests: functions side by side, each with the whole batch."""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from grpo_contract.config import Deadlines, RewardsConfig
from grpo_trainer.rewards.arguments import RewardArguments
from grpo_trainer.rewards.processes.process import WORKER
from grpo_trainer.rewards.processes.remote import RewardProcesses
from grpo_trainer.rewards.watch import RewardWatch
from harness.waiting import wait_for

NEVER = 600.0
"""No deadline for what is no test of deadlines: machines may be busy."""
START_S = 120.0
STATE = SimpleNamespace(global_step=7, log_history=[{"reward": 0.5}])


class Scored:
    """What functions say of completions; `extras` and `metrics` are what they told TRL to log."""

    def __init__(
        self,
        *names: str,
        arguments: RewardArguments | None = None,
        timeout_s: float = NEVER,
        scoring_s: float = NEVER,
        loading_s: float = Deadlines().rewards_loading_s,
        max_error_share: float = 1.0,
        per_group: tuple[str, ...] = (),
    ) -> None:
        self.watch = RewardWatch(max_error_share)
        deadlines = Deadlines(scoring_s=scoring_s, rewards_loading_s=loading_s)
        config = RewardsConfig(timeout_s=timeout_s, per_group=per_group)
        self.processes = RewardProcesses(names, arguments or RewardArguments(), config, "cpu", deadlines, self.watch)
        self.extras: list[tuple[str, list[Any]]] = []
        self.metrics: list[tuple[str, float]] = []
        self.seconds = 0.0

    def __enter__(self) -> "Scored":
        self.processes.required_columns()
        return self

    def __exit__(self, *error: Any) -> None:
        self.processes.__exit__(*error)

    def wait_until_ready(self) -> None:
        """Processes that had to be replaced have been."""
        processes = [process for crew in self.processes._crews.values() for process in crew._processes]
        wait_for("reward processes", lambda: all(process.is_ready for process in processes), START_S, interval_s=0.05)

    def scores(self, completions: Sequence[Any], **columns: Any) -> dict[str, list[float | None]]:
        given: dict[str, Any] = {
            "prompts": ["?"] * len(completions),
            "completion_ids": [[7]] * len(completions),
            "trainer_state": STATE,
            "log_extra": lambda *logged: self.extras.append(logged),
            "log_metric": lambda *logged: self.metrics.append(logged),
        }

        async def all_functions() -> list[list[float | None]]:
            calls = (function(completions=completions, **given | columns) for function in functions.values())
            return await asyncio.gather(*calls)

        functions, started = self.processes.functions, time.monotonic()
        found = asyncio.run(all_functions())
        self.seconds = time.monotonic() - started
        return dict(zip(functions, found, strict=True))

    def errors(self) -> dict[tuple[str, str], tuple[int, str]]:
        """Of the last batch: {(function, reason): (completions, why one of them)}."""
        batch = self.watch.take_batch()
        return {
            (name, reason.value): (count, batch.examples[name, reason])
            for (name, reason), count in batch.counts.items()
        }


def reward_processes(parent: int) -> list[int]:
    """Process ids of the reward processes of a process."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            status, command = (folder / "stat").read_text(), (folder / "cmdline").read_bytes()
        except OSError:  # it has just ended
            continue
        if int(status.rpartition(")")[2].split()[1]) == parent and WORKER.encode() in command:
            found.append(int(folder.name))
    return sorted(found)
