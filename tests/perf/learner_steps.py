"""What each step of a learner took: between two lines of its log, and in its phases, by its own metrics.

The metrics are read once per step, when its line has come: a scrape costs the learner some milliseconds.
"""

import re
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

import requests
from prometheus_client.parser import text_string_to_metric_families

from grpo_contract.network import LEARNER_HTTP_PORT, METRICS_PATH
from trainer.learner_pod import LearnerPod

LINE = re.compile(r"^(?P<time>\S+ \S+) INFO step (?P<step>\d+)/\d+ ", re.MULTILINE)
TIME = "%Y-%m-%d %H:%M:%S,%f"
LOOK_EVERY_S = 0.02
PHASES = "grpo_phase_seconds"

Seconds = Mapping[str, float]
"""By phase."""


@dataclass(frozen=True)
class Step:
    number: int
    seconds: float
    """From the end of the one before to its own."""
    phases: Seconds


def follow(pod: LearnerPod, last_step: int, timeout_s: float) -> list[Step]:
    """Of all steps but the first, which nothing ended before. The learner is left as it is."""
    sums: dict[int, Seconds] = {}
    for step in _steps_as_they_end(pod, last_step, time.monotonic() + timeout_s):
        answer = requests.get(f"http://127.0.0.1:{LEARNER_HTTP_PORT}{METRICS_PATH}", timeout=10)
        sums[step] = phase_sums(answer.text)
    return steps_of(ends(pod.log.read_text()), sums)


def _steps_as_they_end(pod: LearnerPod, last_step: int, deadline: float) -> Iterator[int]:
    step = 0
    while step < last_step:
        assert pod.process.poll() is None, f"the learner ended after step {step}:\n{pod.tail()}"
        assert time.monotonic() < deadline, f"step {last_step} was not reached:\n{pod.tail()}"
        time.sleep(LOOK_EVERY_S)
        newest = max(ends(pod.log.read_text()), default=0)
        if newest > step:
            step = newest
            yield step


def ends(log: str) -> dict[int, float]:
    """{step: when its line was written}, in seconds of the clock."""
    return {int(line["step"]): datetime.strptime(line["time"], TIME).timestamp() for line in LINE.finditer(log)}


def phase_sums(metrics: str) -> Seconds:
    """Seconds of each phase since the learner's start."""
    sums: defaultdict[str, float] = defaultdict(float)
    for family in text_string_to_metric_families(metrics):
        if family.name == PHASES:
            for sample in family.samples:
                if sample.name == f"{PHASES}_sum":
                    sums[sample.labels["phase"]] += sample.value
    return sums


def steps_of(ended: Mapping[int, float], sums: Mapping[int, Seconds]) -> list[Step]:
    """`ended` and `sums` by step. A step is left out where `sums` lack it or the one before: their metrics came too late."""
    return [
        Step(
            step,
            ended[step] - ended[before],
            {phase: total - sums[before].get(phase, 0) for phase, total in sums[step].items()},
        )
        for before, step in pairwise(sorted(sums))
        if step == before + 1
    ]


def steps_without_phases(log: str) -> list[Step]:
    """Of what logs its steps as a learner does, and has no metrics."""
    ended = ends(log)
    return steps_of(ended, {step: {} for step in ended})
