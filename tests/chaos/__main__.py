"""`python -m chaos`, with PYTHONPATH as in the Makefile: every fault, some times, at random moments of a run that trains."""

import argparse
import json
import random
import sys
import time
from dataclasses import asdict
from typing import Any

from chaos.arena import Arena, arena
from chaos.cost import Cost, strike
from chaos.faults import FAULTS, Fault
from harness.kubectl import CommandFailedError
from harness.layout import ROOT
from harness.runs import RunEndedError

REPORT = ROOT / "build" / "chaos.json"
STEPS = 1_000_000


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m chaos", description=sys.modules[__name__].__doc__)
    parser.add_argument("--times", type=int, default=3, help="how often each (default 3)")
    parser.add_argument(
        "--faults", nargs="+", metavar="WORD", default=[], help="only those whose names have such a word"
    )
    parser.add_argument("--seed", type=int, default=None, help="of the random moments")
    arguments = parser.parse_args()
    seed = arguments.seed if arguments.seed is not None else random.randrange(1 << 32)
    chosen = [fault for fault in FAULTS if not arguments.faults or any(word in fault.name for word in arguments.faults)]
    print(f"seed {seed}", flush=True)
    moments = random.Random(seed)
    with arena("chaos", STEPS) as stage:
        rows = [row_of(fault, [attempt(stage, fault, moments) for _ in range(arguments.times)]) for fault in chosen]
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(json.dumps({"seed": seed, "rows": rows}, indent=1) + "\n")
    print_table(rows)
    sys.exit(any(row["result"] != "ok" for row in rows))


def attempt(stage: Arena, fault: Fault, moments: random.Random) -> Cost:
    time.sleep(moments.uniform(0, stage.wait_until_calm().seconds_per_step))
    try:
        cost = strike(stage, fault)
    except (TimeoutError, CommandFailedError, RunEndedError) as error:
        cost = Cost(None, 0.0, 0.0, 0, f"{type(error).__name__}: {str(error)[:300]}")
    print(f"{fault.name}: {cost}", flush=True)
    return cost


def row_of(fault: Fault, costs: list[Cost]) -> dict[str, Any]:
    broken = [cost.broken for cost in costs if cost.broken]
    return {
        "fault": fault.name,
        "times": len(costs),
        **{
            name: [asdict(cost)[name] for cost in costs] for name in ("noticed_s", "recovered_s", "own_s", "steps_lost")
        },
        "result": "; ".join(broken) or "ok",
    }


def print_table(rows: list[dict[str, Any]]) -> None:
    print(f"\n{'fault':38} {'noticed s':20} {'recovered s':20} {'of it own s':20} {'steps lost':12} result")
    for row in rows:
        columns = (
            ", ".join(
                "-" if value is None else f"{value:.0f}" if name == "steps_lost" else f"{value:.1f}"
                for value in row[name]
            )
            for name in ("noticed_s", "recovered_s", "own_s", "steps_lost")
        )
        noticed, recovered, own, lost = columns
        print(f"{row['fault']:38} {noticed:20} {recovered:20} {own:20} {lost:12} {row['result']}")


if __name__ == "__main__":
    main()
