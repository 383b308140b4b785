"""Faults that hurt pods of the run. Each comes back when it is over."""

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Final

from chaos.arena import STEP_LINE, Arena, processes, steps_made
from chaos.blow import Blow, about_to_hurt
from cluster.cgroups import command_of, kill
from grpo_generator.staging import STAGER
from harness.kubectl import CommandFailedError, Manifest

UPDATE_BEGINS_S: Final = 5.0
"""Within which a step ends, and new weights go out."""
RANK: Final = "grpo_trainer.worker"
ENGINE: Final = "VLLM::EngineCore"
"""As vLLM calls its process."""


def hurt_generator(harm: Callable[[list[int]], None]) -> Callable[[Arena], Blow]:
    def strike(arena: Arena) -> Blow:
        victim = arena.pods("generator")[0]
        blow = about_to_hurt(arena, victim)
        harm(processes(victim))
        return blow

    return strike


def delete_generator(arena: Arena) -> Blow:
    victim = arena.pods("generator")[-1]
    blow = about_to_hurt(arena, victim)
    arena.kubectl("delete", "pod", victim["metadata"]["name"], "--wait=false")
    return blow


def kill_all_generators(arena: Arena) -> Blow:
    victims = arena.pods("generator")
    blow = about_to_hurt(arena, *victims)
    kill([pid for victim in victims for pid in processes(victim)])
    return blow


def in_weight_update(harm: Callable[[list[int]], None]) -> Callable[[Arena], Blow]:
    """When new weights are on their way to a generator: the process in it that fetches them stands still before."""

    def strike(arena: Arena) -> Blow:
        victim = arena.pods("generator")[-1]
        doomed, blow = processes(victim), about_to_hurt(arena, victim)
        stop([pid for pid in doomed if STAGER in command_of(pid)])
        # Or it has stood still in an update already, or a learner has gone meanwhile.
        with suppress(TimeoutError, CommandFailedError):
            arena.wait_for_line("the end of a step, after which weights go out", STEP_LINE, blow.at_s, UPDATE_BEGINS_S)
        struck_s = time.time()
        harm(doomed)
        return replace(blow, at_s=struck_s, into_step=None)

    return strike


def kill_learner(number: int) -> Callable[[Arena], Blow]:
    def strike(arena: Arena) -> Blow:
        victim = arena.learners()[number]
        blow = about_to_hurt(arena, victim)
        kill(processes(victim))
        return blow

    return strike


def delete_learner(arena: Arena) -> Blow:
    victim = arena.learners()[1]
    blow = about_to_hurt(arena, victim)
    arena.kubectl("delete", "pod", victim["metadata"]["name"], "--wait=false")
    return blow


def hang_learner(arena: Arena) -> Blow:
    """Its rank. Learner 0 waits for it in a collective operation, until its watchdog ends it."""
    victim = arena.learners()[1]
    blow = about_to_hurt(arena, victim)
    stop(_ranks(victim))
    return blow


def stop_learners(arena: Arena) -> Blow:
    """All that runs in their pods: nobody is left who would miss them, but their kubelets."""
    victims = arena.learners()
    blow = about_to_hurt(arena, *victims)
    stop([pid for victim in victims for pid in processes(victim)])
    return blow


NEWEST: Final = """
import glob, os
marker = max(glob.glob("/volume/runs/*/checkpoints/checkpoint-*/complete.json"), key=os.path.getmtime)
folder = os.path.dirname(marker)
files = [os.path.join(folder, name) for folder, _, names in os.walk(folder) for name in names]
largest = max(files, key=os.path.getsize)
print(folder.rpartition("-")[2])
"""
CUT_OFF: Final = "os.truncate(largest, os.path.getsize(largest) // 2)"
FLIP: Final = """
with open(largest, "r+b") as file:
    file.seek(os.path.getsize(largest) // 2)
    byte = file.read(1)[0]
    file.seek(-1, os.SEEK_CUR)
    file.write(bytes([byte ^ 1]))
"""
UNMARK: Final = "os.remove(marker)"


def damage_checkpoint(how: str) -> Callable[[Arena], Blow]:
    """The newest one; then the learners are killed. They stand still meanwhile, so that there is no newer one."""

    def strike(arena: Arena) -> Blow:
        learners = arena.learners()
        ranks = [pid for learner in learners for pid in _ranks(learner)]
        blow = about_to_hurt(arena, learners[0])
        stop(ranks)
        try:
            damaged = arena.kubectl("exec", learners[0]["metadata"]["name"], "--", "python", "-c", NEWEST + how)
            last_step = max(steps_made(arena.log()))
            return replace(blow, at_s=time.time(), last_step=last_step, damaged_step=int(damaged))
        finally:
            kill(ranks)

    return strike


def scale_down_and_up(arena: Arena) -> Blow:
    """While steps are made: to one generator, and when the other one is gone to as many as before."""
    generators = arena.pods("generator")
    blow = about_to_hurt(arena, *generators)
    for replicas in (1, len(generators)):
        arena.kubectl("scale", f"grporun/{arena.name}", f"--replicas={replicas}")
        arena.wait(f"{replicas} generators", lambda now, wanted=replicas: now.in_sync == wanted, 120)  # type: ignore[misc]
    return blow


def stop(pids: list[int]) -> None:
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)


def stop_engine(pids: list[int]) -> None:
    (engine,) = [pid for pid in pids if ENGINE in command_of(pid)[0]]
    stop([engine])


def _ranks(learner: Manifest) -> list[int]:
    return [pid for pid in processes(learner) if RANK in command_of(pid)]
