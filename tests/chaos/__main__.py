"""`python -m chaos`, with PYTHONPATH as in the Makefile: every fault, some times, at random moments of a run that trains."""

import argparse
import random
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import chain
from typing import Any

from rich.console import Console
from rich.table import Table

from chaos import suites
from chaos.arena import Arena, arena
from chaos.cost import Cost, strike
from chaos.faults import FAULTS, Fault
from chaos.report import COLUMNS, cells, provenance, write_row

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

    def is_chosen(name: str) -> bool:
        return not arguments.faults or any(word in name for word in arguments.faults)

    print(f"seed {seed}", flush=True)
    rows: list[dict[str, Any]] = []
    found = chain(
        (suites.run(suite, arguments.times) for suite in suites.SUITES if is_chosen(suite.fault)),
        strike_all([fault for fault in FAULTS if is_chosen(fault.name)], arguments.times, random.Random(seed)),
    )
    try:
        for row in found:
            rows.append(row)
            write_row(row | provenance(seed=seed))
    finally:
        print_table(rows)
    sys.exit(any(row["result"] != "ok" for row in rows))


def strike_all(faults: Sequence[Fault], times: int, moments: random.Random) -> Iterator[dict[str, Any]]:
    """On the local cluster, which is not needed if there are none."""
    if not faults:
        return
    with arena("chaos", STEPS, moments) as stage:
        for fault in faults:
            yield row_of(fault, [attempt(stage, fault) for _ in range(times)])


def attempt(stage: Arena, fault: Fault) -> Cost:
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
        table.add_row(row["fault"], *cells(row), row["result"])
    Console(width=180).print(table)


if __name__ == "__main__":
    main()
