"""`python -m chaos.alerts`: each fault that an alert names is kept until that fires, within the time that its rule says."""

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import partial
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from chaos.alert_faults import LASTING_FAULTS, Ground, LastingFault, Struck
from chaos.arena import ground
from chaos.report import ALERT_COLUMNS, alert_cells, provenance, write_alert
from codegen.alert_rules import Severity
from harness.alerts import prometheus_with_alerts
from harness.namespaces import namespaces_with_volume
from harness.outages import wait_through_outages
from harness.prometheus import Prometheus

SEEN_S: Final = 60.0
"""Until a fault is to be seen in what the rule asks for: pods tell of it, the operator asks them, and Prometheus both."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m chaos.alerts", description=sys.modules[__name__].__doc__)
    parser.add_argument(
        "--faults", nargs="+", metavar="WORD", default=[""], help="only those whose names have such a word"
    )
    words = parser.parse_args().faults
    rows: list[dict[str, Any]] = []
    try:
        for row in watch_all([fault for fault in LASTING_FAULTS if any(word in fault.name for word in words)]):
            rows.append(row)
            write_alert(row | provenance())
    finally:
        print_table(rows)
    sys.exit(any(row["result"] != "ok" for row in rows))


def watch_all(faults: Sequence[LastingFault]) -> Iterator[dict[str, Any]]:
    """A row for each alert, of the faults that last at once as they end."""
    with (
        ground() as (cluster, original),
        namespaces_with_volume(cluster, original) as make,
        ThreadPoolExecutor(len(LASTING_FAULTS)) as pool,
    ):
        watch = partial(rows_of, Ground(cluster, make), prometheus_with_alerts())
        for ended in as_completed([pool.submit(watch, fault) for fault in faults if not fault.is_alone]):
            yield from ended.result()
        for fault in faults:
            yield from watch(fault) if fault.is_alone else ()


def rows_of(here: Ground, prometheus: Prometheus, fault: LastingFault) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    try:
        with fault.strike(here) as struck:
            for alert in fault.alerts:
                rows.append(watched(prometheus, fault, struck, *alert))
                print(rows[-1], flush=True)
    except Exception as error:  # rows that are broken, whatever broke them
        why = f"{type(error).__name__}: {str(error)[:300]}"
        rows += [_row(fault, *alert, None, None, why) for alert in fault.alerts[len(rows) :]]
    return rows


def watched(
    prometheus: Prometheus, fault: LastingFault, struck: Struck, name: str, severity: Severity
) -> dict[str, Any]:
    (stated_s,) = {
        float(rule["duration"])
        for rule in prometheus.rules()
        if (rule["name"], rule["labels"]["severity"]) == (name, severity)
    }
    fired_s = fired_after_s(prometheus, struck, name, severity, within_s=stated_s + SEEN_S)
    return _row(fault, name, severity, stated_s, fired_s, verdict(fired_s, stated_s))


def _row(
    fault: LastingFault, name: str, severity: Severity, stated_s: float | None, fired_s: float | None, result: str
) -> dict[str, Any]:
    values = (name, severity.value, fault.name, stated_s, fired_s)
    return {**dict(zip(ALERT_COLUMNS, values, strict=True)), "result": result}


def fired_after_s(prometheus: Prometheus, struck: Struck, name: str, severity: str, within_s: float) -> float | None:
    """Seconds from the fault until the alert fired; None if it did not within so many."""

    def look() -> float | None:
        return prometheus.first_firing(struck.at_s, alertname=name, severity=severity, **struck.labels)

    try:
        left_s = struck.at_s + within_s - time.time()
        return wait_through_outages(f"{name} that fires", look, left_s) - struck.at_s
    except TimeoutError:
        return None


def verdict(fired_s: float | None, stated_s: float) -> str:
    if fired_s is None:
        return f"has not fired within {stated_s + SEEN_S:g} s"
    return "ok" if fired_s >= stated_s else "fires for something else"


def print_table(rows: list[dict[str, Any]]) -> None:
    table = Table(*ALERT_COLUMNS.values(), "result")
    for row in rows:
        table.add_row(*alert_cells(row), row["result"])
    Console(width=180).print(table)


if __name__ == "__main__":
    main()
