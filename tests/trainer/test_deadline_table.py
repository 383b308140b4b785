"""docs/reliability.md tells of deadlines as the code has them."""

import re
import socket

import pytest

from grpo_contract.config import Deadlines, RewardsConfig
from grpo_contract.grace import GENERATOR_GRACE_PERIOD_S, LEARNER_GRACE_PERIOD_S
from grpo_contract.weights import SILENCE_S
from grpo_generator import pulse
from grpo_generator.model import HUB_TIMEOUT_S
from grpo_operator.desired import generators, learners
from grpo_trainer.fleet import generator, keep_alive, patience, wire
from grpo_trainer.hub import push, pusher
from grpo_trainer.reports import exporter
from grpo_trainer.storage import checkpoints, fence, verification
from grpo_trainer.trackers import process as trackers
from harness.layout import ROOT

USUAL = Deadlines()


def broken_after(connections: keep_alive.SocketOptions) -> float:
    return {option: value for _, option, value in connections}[socket.TCP_USER_TIMEOUT] / 1000


ROWS: dict[str, tuple[float, ...]] = {
    "Learner processes find each other": (USUAL.rendezvous_s,),
    "Learners load one thing": (USUAL.loading_s,),
    "A module of reward functions is imported": (USUAL.rewards_loading_s,),
    "A generator starts": (USUAL.generators_s,),
    "A first generator answers": (USUAL.generators_s,),
    "A generator is connected to": (generator.CONNECT_S,),
    "A generator answers a small request": (USUAL.control_s,),
    "A generator that completions or weights are awaited from": (
        USUAL.control_s,
        patience.MOST_MISSED * (patience.ASKED_EVERY_S + USUAL.control_s),
    ),
    "A request for completions": (USUAL.generate_s,),
    "Some request for completions ends": (USUAL.fleet_s,),
    "A transfer of weights to a generator": (USUAL.weight_sync_s,),
    "All generators have new weights": (USUAL.sync_s,),
    "The learner, or a generator, takes no part in a transfer": (SILENCE_S,),
    "A node that a generator is on has vanished": (broken_after(keep_alive.TO_GENERATORS),),
    "The node of a learner has vanished": (broken_after(keep_alive.BETWEEN_LEARNERS),),
    "Learner processes connect to rank 0": (wire.CONNECTED_WITHIN_S,),
    "The run's folder says which attempt": (fence.READ_WITHIN_S,),
    "A rank gets nothing from the volume": (verification.READ_ON_WITHIN_S,),
    "One call of a reward function": (RewardsConfig().timeout_s,),
    "What is left to score": (USUAL.scoring_s,),
    "A learner process comes from one collective": (USUAL.collective_s,),
    "Learner 0 says nothing to the others": (USUAL.collective_s,),
    "A learner process writes or flushes": (USUAL.checkpoint_s,),
    "All learners see a checkpoint": (checkpoints.VISIBLE_WITHIN_S,),
    "The hub answers": (HUB_TIMEOUT_S, push.SILENCE_S),
    "What is left to push": (pusher.SHARE_OF_COLLECTIVE * USUAL.collective_s,),
    "Learner processes end together": (USUAL.end_s,),
    "Trackers send what is left": (trackers.FINISH_S,),
    "Learners that are asked to end": (LEARNER_GRACE_PERIOD_S,),
    "A generator that is asked to end": (GENERATOR_GRACE_PERIOD_S,),
    "A generator answers its liveness probe": (generators.HANGS_S,),
    "A generator's engine answers": (pulse.SILENT_S, generators.HANGS_S),
    "A learner pod that stands still": (USUAL.collective_s + learners.AFTER_WATCHDOG_S,),
    "A learner pod serves its state": (USUAL.launch_s,),
    "The whole run": (),
}
"""By the beginning of a row: its seconds."""


def documented() -> list[tuple[str, tuple[float, ...]]]:
    """Of each row the step, and the seconds that it has: in the default, or in brackets where there is no field."""
    text = (ROOT / "docs" / "reliability.md").read_text()
    table = text[text.index("| step | field of") :].split("\n\n")[0].splitlines()[2:]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table]
    return [(step, seconds_in(default or field.removeprefix("none"))) for step, field, default, *_ in rows]


def seconds_in(cell: str) -> tuple[float, ...]:
    return tuple(float(number) for number in re.findall(r"(?<![\w.])\d+(?:\.\d+)?", cell.split(", or ")[0]))


def test_each_deadline_is_documented() -> None:
    steps = [step for step, _ in documented()]
    assert [row for row in ROWS if sum(step.startswith(row) for step in steps) != 1] == []
    assert [step for step in steps if not step.startswith(tuple(ROWS))] == []


@pytest.mark.parametrize("row", ROWS)
def test_a_deadline_is_as_documented(row: str) -> None:
    (seconds,) = [seconds for step, seconds in documented() if step.startswith(row)]
    assert seconds == pytest.approx(ROWS[row])


def test_the_last_scrape_is_waited_for_as_long_as_trackers_are() -> None:
    """One row tells of both."""
    assert exporter.LONGEST_WAIT_S == trackers.FINISH_S
