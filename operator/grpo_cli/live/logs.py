"""Logs of several pods as one, in the order of time; which lines of them one asks for."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from grpo_cli.live.history import Line
from grpo_cli.live.pods import of_attempt, role_of
from grpo_contract.labels import Role

Manifest = Mapping[str, Any]

COLOURS: Final = ("cyan", "green", "magenta", "yellow", "blue", "bright_cyan", "bright_green", "bright_magenta")
OF_RANK: Final = re.compile(r"\[rank (\d+)\] ")
"""In a line that is no entry."""


def chosen(pods: Iterable[Manifest], attempt: int, role: str | None) -> list[Manifest]:
    """Those whose logs tell of this attempt: its learners, and all generators."""
    roles = (Role.LEARNER, Role.GENERATOR) if role is None else (role,)
    return [pod for pod in of_attempt(pods, attempt) if role_of(pod) in roles]


def merged(logs: Mapping[str, Sequence[Line]]) -> Iterator[tuple[str, Line]]:
    """`logs`: by pod."""
    lines = [(pod, line) for pod, of_pod in logs.items() for line in of_pod]
    return iter(sorted(lines, key=lambda entry: entry[1].at))


def is_of_rank(line: Line, rank: int) -> bool:
    """What a pod's first process says is of none; what no process says of itself may be of any."""
    if line.entry is not None:
        return line.entry.rank == rank
    if (found := OF_RANK.search(line.raw)) is not None:
        return rank == int(found[1])
    return rank == 0 or not line.is_stamped


def short_name(pod: str, run: str) -> str:
    """Without the run's name, which all have."""
    return pod.removeprefix(f"{run}-")


def as_entry(pod: str, line: Line) -> str:
    """As JSON, of one line."""
    if line.entry is not None:
        return json.dumps(json.loads(line.raw))  # in ASCII: nothing of it steers a terminal
    return json.dumps({"time": line.at.isoformat(), "pod": pod, "message": line.raw})
