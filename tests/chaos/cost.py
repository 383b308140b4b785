"""What a fault cost the run, seen in its object, its pods and its learner's log."""

import re
import time
from dataclasses import dataclass, replace

from chaos.arena import HOLDS, STEP_LINE, Arena, State, log_lines, steps_made
from chaos.blow import Blow
from chaos.faults import Fault, Hurt
from grpo_operator.reconcile.observed import time_of
from grpo_operator.reconcile.reasons import Reason
from harness.kubectl import Manifest
from harness.outages import wait_through_outages
from harness.runs import RESUMED

NOTICED = r"generator \S+ (cannot be used|has left)|groups of generator \S+ go elsewhere"
SERVES = "Starting vLLM server on"
IMPORTS = re.compile(r"imports ([\d.]+)")
SLACK_S = 15.0
"""Until a generator is in sync again, beyond its server's own start."""
RESTART_S = 30.0
"""From the end of an attempt to the next one's first step, beyond its imports."""
ENDED_LATE_S = 15.0
"""Than by its probe: a kubelet asks in its own time."""
GOES_ON_S = 400.0


@dataclass(frozen=True)
class Cost:
    noticed_s: float | None
    """Since the fault. None: nobody had to notice."""
    recovered_s: float
    """Since the fault: until all generators are in sync again, until the next step, or until the status tells of steps again."""
    own_s: float
    """Of these, what the victim's programs need to start."""
    steps_lost: int
    broken: str = ""
    """What did not hold."""
    into_step: float | None = None
    """When it struck, as `Blow` says it."""


def strike(arena: Arena, fault: Fault) -> Cost:
    if fault.hurt is Hurt.GENERATORS:
        arena.renew_generators()
    before, names = arena.wait_until_calm(), {pod["metadata"]["name"] for pod in arena.pods("generator")}
    blow = fault.strike(arena)
    try:
        match fault.hurt:
            case Hurt.GENERATORS:
                unhurt = names - {pod["metadata"]["name"] for pod in blow.victims}
                cost = _of_generators(arena, fault, before, unhurt, blow)
            case Hurt.LEARNERS:
                cost = _of_learners(arena, fault, before, blow)
            case Hurt.NOBODY:
                cost = _of_nobody(arena, before, blow)
    finally:
        fault.mend(arena, blow)
    return replace(cost, into_step=blow.into_step)


def _of_generators(arena: Arena, fault: Fault, before: State, unhurt: set[str], blow: Blow) -> Cost:
    noticed = arena.wait_for_line("a generator that is missed", NOTICED, blow.at_s, fault.noticed_within_s + 60)

    def in_sync_again() -> tuple[float, list[Manifest]] | None:
        found = [pod for pod in arena.pods("generator") if pod["metadata"]["name"] not in unhurt]
        times = {match[1]: line.time for line in arena.log(noticed.time) if (match := HOLDS.search(line.text))}
        names = [pod["metadata"]["name"] for pod in found]
        return (max(times[name] for name in names), found) if names and all(name in times for name in names) else None

    recovered, newcomers = wait_through_outages("generators in sync", in_sync_again, GOES_ON_S)
    own_s = max(_own_start_s(arena, pod) for pod in newcomers)
    noticed_s = noticed.time - blow.at_s
    ended_s = max(_last_ended(pod) for pod in newcomers) - blow.at_s
    cost = Cost(noticed_s, recovered - blow.at_s, own_s, _steps_lost(arena))
    if broken := _broken_row(arena, before, cost):
        return _broken(cost, broken)
    if noticed_s > fault.noticed_within_s:
        return _broken(cost, f"noticed after {noticed_s:.1f} s")
    if ended_s > fault.ended_within_s + ENDED_LATE_S:
        return _broken(cost, f"ended after {ended_s:.1f} s")
    waited_s = cost.recovered_s - own_s - max(noticed_s, ended_s)
    return cost if waited_s <= SLACK_S else _broken(cost, f"in sync {waited_s:.1f} s after its start")


def _steps_lost(arena: Arena) -> int:
    """Of the attempt, those that are missing or were made twice."""
    made = steps_made(arena.log())
    in_order = range(made[0], made[-1] + 1) if made else range(0)
    return sum(made.count(step) != 1 for step in in_order) + len(set(made).difference(in_order))


def _broken_row(arena: Arena, before: State, cost: Cost) -> str:
    """Of an attempt that was to go on."""
    attempt = arena.state().attempt
    if attempt != before.attempt:
        return f"it is attempt {attempt}, after {before.attempt}"
    return f"{cost.steps_lost} steps lost" if cost.steps_lost else ""


def _last_ended(pod: Manifest) -> float:
    """When its container ended that ran before; 0 if none did."""
    (container,) = pod["status"]["containerStatuses"]
    ended = container.get("lastState", {}).get("terminated")
    return time_of(ended["finishedAt"]).timestamp() if ended else 0.0


def _own_start_s(arena: Arena, pod: Manifest) -> float:
    """0 where its log does not tell."""
    lines = log_lines(arena.kubectl, pod)
    return next((line.time - lines[0].time for line in lines if SERVES in line.text), 0.0)


def _of_learners(arena: Arena, fault: Fault, before: State, blow: Blow) -> Cost:
    lost = arena.wait("another attempt", lambda now: now.attempt > before.attempt, GOES_ON_S)
    # By the second in which it was told, if that was before.
    noticed_s = min(time.time(), lost.failed_s + 1) - blow.at_s
    step = arena.wait_for_line("a step of it", STEP_LINE, blow.at_s, GOES_ON_S)
    lines = arena.log()
    resumed_at = next((int(found[1]) for line in lines if (found := RESUMED.search(line.text))), 0)
    own_s = next((float(found[1]) for line in lines if (found := IMPORTS.search(line.text))), 0.0)
    cost = Cost(noticed_s, step.time - blow.at_s, own_s, max(0, blow.last_step - resumed_at))
    if blow.damaged_step is not None and resumed_at >= blow.damaged_step:
        return _broken(cost, f"resumed from step {resumed_at}, of which the checkpoint is damaged")
    if blow.damaged_step is not None and not arena.has_event(Reason.CHECKPOINT_DAMAGED, blow.at_s):
        return _broken(cost, "nothing was said of the damage")
    if cost.steps_lost > fault.steps_lost_at_most:
        return _broken(cost, f"{cost.steps_lost} steps lost")
    if wrong := _wrongly_counted(fault, before, arena.state()):
        return _broken(cost, wrong)
    if noticed_s > fault.noticed_within_s:
        return _broken(cost, f"noticed after {noticed_s:.1f} s")
    waited_s = cost.recovered_s - noticed_s - own_s - fault.stays_s
    return cost if waited_s <= RESTART_S else _broken(cost, f"the next step came {waited_s:.1f} s later")


def _wrongly_counted(fault: Fault, before: State, after: State) -> str:
    """What the cluster took is a disruption; all else counts against maxRestarts."""
    counted = (after.disruptions - before.disruptions, after.restarts - before.restarts)
    wanted = (1, 0) if fault.is_disruption else (0, 1)
    return "" if counted == wanted else f"counted as (disruptions, restarts) {counted}, not {wanted}"


def _of_nobody(arena: Arena, before: State, blow: Blow) -> Cost:
    over = time.time()
    arena.wait_for_line("a step afterwards", STEP_LINE, over, GOES_ON_S)
    made = max(steps_made(arena.log()))
    arena.wait("that step in the status", lambda now: now.step >= made and now.is_training, GOES_ON_S)
    told = time.time()
    cost = Cost(None, told - blow.at_s, over - blow.at_s, _steps_lost(arena))
    if broken := _broken_row(arena, before, cost):
        return _broken(cost, broken)
    waited_s = told - over
    return cost if waited_s <= RESTART_S else _broken(cost, f"the status told of a step {waited_s:.1f} s later")


def _broken(cost: Cost, why: str) -> Cost:
    return replace(cost, broken=why)
