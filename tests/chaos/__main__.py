"""`python -m chaos`, with PYTHONPATH as in the Makefile: every fault, some times, at random moments of a run that trains."""

import argparse
import random
import sys
import time
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table

from chaos.arena import Arena, arena
from chaos.cost import Cost, strike
from chaos.faults import FAULTS, Fault
from chaos.report import now, write_report

STEPS = 1_000_000
COLUMNS = {
    "noticed_s": "noticed, s",
    "recovered_s": "recovered, s",
    "own_s": "own start of it, s",
    "steps_lost": "steps lost",
}


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
    rows: list[dict[str, Any]] = []
    with arena("chaos", STEPS) as stage:
        for fault in chosen:
            rows.append(row_of(fault, [attempt(stage, fault, moments) for _ in range(arguments.times)]))
            write_report(at=now(), seed=seed, rows=rows)
    print_table(rows)
    sys.exit(any(row["result"] != "ok" for row in rows))


def attempt(stage: Arena, fault: Fault, moments: random.Random) -> Cost:
    time.sleep(moments.uniform(0, stage.wait_until_calm().seconds_per_step))
    try:
        cost = strike(stage, fault)
    except Exception as error:  # a row that is broken, whatever broke it
        cost = Cost(None, 0.0, 0.0, 0, f"{type(error).__name__}: {str(error)[:300]}")
    print(f"{fault.name}: {cost}", flush=True)
    return cost


def row_of(fault: Fault, costs: list[Cost]) -> dict[str, Any]:
    broken = [cost.broken for cost in costs if cost.broken]
    return {
        "fault": fault.name,
        "times": len(costs),
        **{name: [asdict(cost)[name] for cost in costs] for name in COLUMNS},
        "result": "; ".join(broken) or "ok",
    }


def print_table(rows: list[dict[str, Any]]) -> None:
    table = Table("fault", *COLUMNS.values(), "result")
    for row in rows:
        table.add_row(row["fault"], *(" ".join(map(figure, row[name])) for name in COLUMNS), row["result"])
    Console(width=180).print(table)


def figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


if __name__ == "__main__":
    main()
