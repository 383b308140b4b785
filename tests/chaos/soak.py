"""`python -m chaos.soak`: faults at random for as long as a run takes, and how much of its time was training all the same."""

import argparse
import json
import random
import sys
import time
from dataclasses import dataclass, field
from statistics import median

from chaos.arena import STEP, Arena, State, arena
from chaos.faults import FAULTS, Fault
from chaos.report import provenance, write_soak
from harness.installation import tool_output
from harness.kubectl import ENDED, CommandFailedError
from harness.outages import wait_through_outages
from harness.prometheus import Prometheus
from harness.runs import RunEndedError, phase

STEPS = 2000
LONGEST_S = 3 * 3600.0
LOOK_S = 0.5


@dataclass
class Plague:
    """Some faults, of which one comes about every so many seconds."""

    faults: list[Fault]
    every_s: float
    due_s: float = 0.0

    def plan(self, moments: random.Random) -> None:
        self.due_s = time.monotonic() + self.every_s * moments.uniform(0.5, 1.5)


@dataclass
class Toll:
    """What the faults took."""

    faults: dict[str, int] = field(default_factory=dict)
    """How often each came."""
    not_training_s: float = 0.0
    """From the end of an attempt to the first step of the next one."""
    steps_made_again: int = 0
    _looked_s: float = field(default_factory=time.monotonic)
    _step: int = 0

    def see(self, state: State) -> None:
        now_s = time.monotonic()
        if not state.is_training:
            self.not_training_s += now_s - self._looked_s
        self.steps_made_again += max(0, self._step - state.step)
        self._looked_s, self._step = now_s, state.step

    def struck(self, fault: Fault) -> None:
        self.faults[fault.name] = self.faults.get(fault.name, 0) + 1


def plagues() -> list[Plague]:
    def named(*names: str) -> list[Fault]:
        return [fault for fault in FAULTS if fault.name in names]

    return [
        Plague(named("generator killed", "generator deleted", "generator killed in a weight update"), 30),
        Plague(named("operator killed"), 60),
        Plague(named("learner 0 killed", "learner 1 killed", "learner 1 deleted"), 300),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m chaos.soak", description=sys.modules[__name__].__doc__)
    parser.add_argument("--steps", type=int, default=STEPS, help=f"of the run (default {STEPS}, about half an hour)")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32), help="of the faults and their moments")
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    moments = random.Random(arguments.seed)
    with arena("soak", arguments.steps, moments) as stage:
        undisturbed_s = median_step_s(stage)
        first, begun = stage.state().step, time.time()
        toll = infest(stage, moments)
        took_s, run = time.time() - begun, stage.run()
        steps = run["status"]["progress"]["step"]
        useful_s, again_s = (steps - first) * undisturbed_s, toll.steps_made_again * undisturbed_s
        report = {
            **provenance(seed=arguments.seed),
            "steps": steps,
            "phase": phase(run),
            "minutes": took_s / 60,
            "faults": toll.faults,
            "attempts": run["status"]["attempt"],
            "effective_ratio": useful_s / took_s,
            "ratio_without_training": toll.not_training_s / took_s,
            "ratio_of_steps_made_again": again_s / took_s,
            "ratio_of_slower_steps": 1 - (useful_s + toll.not_training_s + again_s) / took_s,
            "stale_samples": stale_samples(stage, took_s),
        }
    write_soak(report)
    print(json.dumps(report, indent=1))
    sys.exit(report["phase"] != "Succeeded" or report["steps"] != arguments.steps or report["stale_samples"] != 0)


def infest(stage: Arena, moments: random.Random) -> Toll:
    """Until the run has ended."""
    toll, coming = Toll(), plagues()
    for plague in coming:
        plague.plan(moments)
    ends_at = time.monotonic() + LONGEST_S
    while time.monotonic() < ends_at and phase(run := wait_through_outages("the run", stage.run, 120)) not in ENDED:
        toll.see(State.of(run))
        for plague in coming:
            if time.monotonic() >= plague.due_s:
                fault = moments.choice(plague.faults)
                try:
                    fault.strike(stage)
                    toll.struck(fault)
                except (LookupError, ValueError, OSError, CommandFailedError, RunEndedError) as error:
                    print(f"{fault.name}: its victim was not there ({type(error).__name__})", flush=True)
                plague.plan(moments)
        time.sleep(LOOK_S)
    return toll


def median_step_s(stage: Arena) -> float:
    """Of the run before anything happens to it, its first step left out."""
    times = [float(found[2]) for line in stage.log() if (found := STEP.search(line.text))]
    return median(times[1:])


def stale_samples(stage: Arena, seconds: float) -> float:
    """Completions that were learnt from though their weights were too old, as Prometheus has it."""
    labels = f'namespace="{stage.kubectl.namespace}",run="{stage.name}"'
    prometheus = Prometheus(tool_output("cluster", "prometheus-url"))
    (found,) = prometheus.query(f"max(max_over_time(grpo_too_stale_completions_total{{{labels}}}[{int(seconds)}s]))")
    return float(found["value"][1])


if __name__ == "__main__":
    main()
