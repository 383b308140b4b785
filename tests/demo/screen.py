"""The live screen of the demo; plain lines where there is no terminal. Reads nothing but the GRPORun object."""

from collections.abc import Callable
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

Run = dict[str, Any]
Show = Callable[[Run], None]

COLUMNS: dict[str, Callable[[Run], str]] = {
    "step": lambda run: f"{_progress(run).get('step', 0)}/{_progress(run).get('maxSteps', '?')}",
    "reward": lambda run: _number(_metrics(run).get("reward")),
    "accuracy": lambda run: _number(_metrics(run).get("rewards", {}).get("accuracy")),
    "KL": lambda run: _number(_metrics(run).get("kl")),
    "loss": lambda run: _number(_metrics(run).get("loss"), digits=4),
    "tokens/s": lambda run: _number(_progress(run).get("tokensPerSecond"), digits=0),
    "left": lambda run: _duration(_progress(run).get("etaSeconds")),
}


def follow(console: Console, watch: Callable[[Show], Run]) -> Run:
    """Run `watch` with a function that shows each new state of the run; returns what `watch` returns, the last state."""
    if not console.is_terminal:
        return watch(_Lines(console).show)
    with Live(console=console, refresh_per_second=4) as live:
        return watch(lambda run: live.update(picture(run)))


class _Lines:
    """One line per change, so that a log of the demo reads well."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.last = ""

    def show(self, run: Run) -> None:
        values = "  ".join(f"{name} {value(run)}" for name, value in COLUMNS.items())
        line = f"{run.get('status', {}).get('phase', 'Pending'):<10} {values}  {_waiting_for(run)}"
        if _without_time_left(line) != self.last:
            self.console.print(line, highlight=False, soft_wrap=True)
            self.last = _without_time_left(line)


def _without_time_left(line: str) -> str:
    return line.split("  left ")[0]


def picture(run: Run) -> RenderableType:
    progress = _progress(run)
    table = Table(title=f"GRPORun {run['metadata']['name']}: {run.get('status', {}).get('phase', 'Pending')}")
    for name in COLUMNS:
        table.add_column(name, justify="right", min_width=8)
    table.add_row(*(value(run) for value in COLUMNS.values()))
    bar = ProgressBar(total=progress.get("maxSteps") or 1, completed=progress.get("step", 0), width=78)
    return Group(table, Padding(bar), Text(_waiting_for(run), style="dim"))


def _waiting_for(run: Run) -> str:
    """The messages of conditions that are not (yet) true: what the run waits for."""
    ends = {"Succeeded", "Failed"}
    waiting = (
        entry["message"]
        for entry in run.get("status", {}).get("conditions", [])
        if entry["status"] != "True" and entry["type"] not in ends
    )
    return " ".join(dict.fromkeys(waiting))


def _progress(run: Run) -> dict[str, Any]:
    progress: dict[str, Any] = run.get("status", {}).get("progress", {})
    return progress


def _metrics(run: Run) -> dict[str, Any]:
    metrics: dict[str, Any] = run.get("status", {}).get("metrics", {})
    return metrics


def _number(value: float | None, digits: int = 3) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _duration(seconds: float | None) -> str:
    return "-" if seconds is None else f"{int(seconds) // 60}:{int(seconds) % 60:02}"
