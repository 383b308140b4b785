"""The figures of the operator's cost as they are printed."""

from perf.audit_log import percentile
from perf.measurement import Burst, OneByOne
from perf.result import Figures

MS = 1000


def figures(one_by_one: OneByOne, status_write_s: float, bursts: dict[int, Burst], raw_s: dict[int, float]) -> Figures:
    """Bursts and raw bursts are keyed by their number of runs."""
    rss_mib = {"empty": one_by_one.empty_rss_mib} | {str(size): burst.rss_mib for size, burst in bursts.items()}
    burst_figures: Figures = {}
    for size, burst in bursts.items():
        burst_figures |= {f"burst_{size}_s": round(burst.children_s, 1), f"raw_{size}_s": round(raw_s[size], 1)}
    (idle,) = (
        burst.idle_requests_per_minute for burst in bursts.values() if burst.idle_requests_per_minute is not None
    )
    return {
        "child_p50_ms": round(percentile(one_by_one.children_s, 0.5) * MS),
        "child_p99_ms": round(percentile(one_by_one.children_s, 0.99) * MS),
        "pods_p50_ms": round(percentile(one_by_one.pods_s, 0.5) * MS),
        **burst_figures,
        "requests_per_run": round(one_by_one.requests_per_run, 1),
        "idle_requests_per_minute": round(idle, 1),
        "status_write_ms": round(status_write_s * MS, 1),
        "cpu_ms_per_run": round(one_by_one.cpu_s_per_run * MS, 1),
        "rss_mib": {name: round(mib) for name, mib in rss_mib.items()},
    }


def table(values: Figures) -> str:
    flat = {name: value for name, value in values.items() if name != "rss_mib"}
    flat |= {f"rss_mib, {name}": mib for name, mib in values["rss_mib"].items()}
    return "\n".join(f"{name:<26}{value:>10}" for name, value in flat.items())
