"""What a fault cost the run, seen in its object, its pods and its learner's log."""

import re
import time
from dataclasses import dataclass

from chaos.arena import HOLDS, RESUMED, Arena, State, log_lines, steps_made
from chaos.faults import Fault, Hurt
from harness.kubectl import Manifest
from harness.outages import wait_through_outages

NOTICED = r"generator \S+ (cannot be used|has left)|groups of generator \S+ go elsewhere"
SERVES = "Starting vLLM server on"
IMPORTS = re.compile(r"imports ([\d.]+)")
SLACK_S = 15.0
"""Until a generator is in sync again, beyond its server's own start."""
RESTART_S = 30.0
"""Until the next step of learners that were lost, beyond their imports."""
GOES_ON_S = 400.0


@dataclass(frozen=True)
class Cost:
    noticed_s: float | None
    """Since the fault. None: nobody had to notice."""
    recovered_s: float
    """Since the fault: until all generators are in sync again, or until the next step."""
    own_s: float
    """Of these, what the victim's programs need to start."""
    steps_lost: int
    broken: str = ""
    """What did not hold."""


def strike(arena: Arena, fault: Fault) -> Cost:
    before, names = arena.wait_until_calm(), {pod["metadata"]["name"] for pod in arena.pods("generator")}
    last = max(steps_made(arena.log()), default=before.step)
    struck = time.time()
    victims = fault.strike(arena)
    try:
        match fault.hurt:
            case Hurt.GENERATORS:
                unhurt = names - {pod["metadata"]["name"] for pod in victims}
                return _of_generators(arena, fault, before, unhurt, struck)
            case Hurt.LEARNERS:
                return _of_learners(arena, fault, before, last, struck)
            case Hurt.NOBODY:
                return _of_nobody(arena, before, struck)
    finally:
        fault.mend(arena, victims)


def _of_generators(arena: Arena, fault: Fault, before: State, unhurt: set[str], struck: float) -> Cost:
    noticed = arena.wait_for_line("a generator that is missed", NOTICED, struck, fault.noticed_within_s + 60)

    def in_sync_again() -> tuple[float, list[Manifest]] | None:
        found = [pod for pod in arena.pods("generator") if pod["metadata"]["name"] not in unhurt]
        times = {match[1]: line.time for line in arena.log(noticed.time) if (match := HOLDS.search(line.text))}
        names = [pod["metadata"]["name"] for pod in found]
        return (max(times[name] for name in names), found) if names and all(name in times for name in names) else None

    recovered, newcomers = wait_through_outages("generators in sync", in_sync_again, GOES_ON_S)
    own_s = max(_own_start_s(arena, pod) for pod in newcomers)
    made = steps_made(arena.log())
    cost = Cost(noticed.time - struck, recovered - struck, own_s, steps_lost=0)
    if arena.state().attempt != before.attempt or made != list(range(made[0], made[0] + len(made))):
        return _broken(cost, f"steps {made[-5:]} of attempt {arena.state().attempt}")
    if cost.noticed_s is not None and cost.noticed_s > fault.noticed_within_s:
        return _broken(cost, f"noticed after {cost.noticed_s:.1f} s")
    waited_s = cost.recovered_s - own_s - max(cost.noticed_s or 0.0, fault.ended_within_s)
    return cost if waited_s <= SLACK_S else _broken(cost, f"in sync {waited_s:.1f} s after its start")


def _own_start_s(arena: Arena, pod: Manifest) -> float:
    """0 where its log does not tell."""
    lines = log_lines(arena.kubectl, pod)
    return next((line.time - lines[0].time for line in lines if SERVES in line.text), 0.0)


def _of_learners(arena: Arena, fault: Fault, before: State, last: int, struck: float) -> Cost:
    arena.wait("another attempt", lambda now: now.attempt > before.attempt, GOES_ON_S)
    noticed_s = time.time() - struck
    step = arena.wait_for_line("a step of it", r"step \d+/\d+  reward ", struck, GOES_ON_S)
    lines = arena.log()
    resumed_at = next((int(found[1]) for line in lines if (found := RESUMED.search(line.text))), 0)
    own_s = next((float(found[1]) for line in lines if (found := IMPORTS.search(line.text))), 0.0)
    cost = Cost(noticed_s, step.time - struck, own_s, max(0, last - resumed_at))
    if cost.steps_lost > fault.steps_lost_at_most:
        return _broken(cost, f"{cost.steps_lost} steps lost")
    waited_s = cost.recovered_s - own_s - fault.ended_within_s
    return cost if waited_s <= RESTART_S else _broken(cost, f"the next step came {waited_s:.1f} s later")


def _of_nobody(arena: Arena, before: State, struck: float) -> Cost:
    over = time.time()
    step = arena.wait_for_line("a step afterwards", r"step \d+/\d+  reward ", over, GOES_ON_S)
    now = arena.wait("its steps in the status", lambda now: now.step > before.step and now.is_training, GOES_ON_S)
    cost = Cost(None, step.time - struck, over - struck, steps_lost=0)
    return cost if now.attempt == before.attempt else _broken(cost, f"attempt {now.attempt} was made")


def _broken(cost: Cost, why: str) -> Cost:
    return Cost(cost.noticed_s, cost.recovered_s, cost.own_s, cost.steps_lost, why)
