"""Options of the commands about runs on a cluster; what each asks of it, and prints."""

import argparse
import csv
import json
import sys
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, Final

from rich.console import Console
from rich.live import Live

from grpo_cli.live.cluster import Cluster, Manifest, learner_0
from grpo_cli.live.history import Line, StepLine, lines_of, steps_of
from grpo_cli.live.screen import View, as_dict, phases_of, picture
from grpo_cli.live.why import ENDED, why

Commands = Any
"""What argparse makes parsers of commands with; its type has no public name."""
KUBECTLS: Final = ("namespace", "context", "kubeconfig")
"""Options that are handed on to kubectl."""
LOOK_EVERY_S: Final = 2.0
LAST_LINES: Final = "--tail=2000"
"""Of learner 0's log, for the course of the last steps."""


def add_commands(commands: Commands) -> None:
    _add(commands, "why", print_why, "say what a run waits for, or why it failed")
    top = _add(commands, "top", print_top, "show how a run is doing, live")
    top.add_argument("--once", action="store_true", help="print one picture, and end")
    metrics = _add(commands, "metrics", print_metrics, "print the numbers of each step", outputs=("csv", "json"))
    metrics.description = "From the log of the current attempt's learner 0, as far as that goes back."
    for name, suspend, told in (
        ("suspend", True, "stop a run, and keep its checkpoint"),
        ("resume", False, "go on with it"),
    ):
        _add(commands, name, _set_suspend(suspend), told, outputs=())
    scaling = _add(commands, "scale", scale, "change the number of generators, while the run goes on", outputs=())
    scaling.add_argument("--generators", type=int, required=True, metavar="N", help="pods")


def _add(
    commands: Commands,
    name: str,
    run: Callable[[argparse.Namespace], int],
    told: str,
    outputs: tuple[str, ...] = ("text", "json"),
) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(name, help=told)
    command.set_defaults(run=run)
    command.add_argument("name", metavar="NAME", help="of the GRPORun")
    command.add_argument("-n", "--namespace", help="its namespace; that of the current context without this")
    for option in KUBECTLS[1:]:
        command.add_argument(f"--{option}", help="as for kubectl")
    if outputs:
        command.add_argument("-o", "--output", choices=outputs, default=outputs[0])
    return command


def cluster_of(given: argparse.Namespace) -> Cluster:
    said = [(option, getattr(given, option)) for option in KUBECTLS]
    return Cluster(tuple(f"--{option}={value}" for option, value in said if value is not None))


def print_why(given: argparse.Namespace) -> int:
    cluster = cluster_of(given)
    run = cluster.run(given.name)
    pods = cluster.pods(run)
    lines = _why(cluster, run, pods, lines_of(_log(cluster, run, pods, "--tail=1")), _now())
    print(_as_json({"why": lines}) if given.output == "json" else "\n".join(lines))
    return 0


def print_top(given: argparse.Namespace) -> int:
    cluster = cluster_of(given)
    if given.output == "json":
        print(_as_json(as_dict(look(cluster, given.name, _now()))))
        return 0
    console = Console(highlight=False)
    if given.once:
        console.print(picture(look(cluster, given.name, _now()), _now()))
        return 0
    with Live(console=console, auto_refresh=False, screen=console.is_terminal) as live:
        while True:
            view = look(cluster, given.name, _now())
            live.update(picture(view, _now()), refresh=True)
            if view.status.get("phase") in ENDED:
                return 0
            time.sleep(LOOK_EVERY_S)


def look(cluster: Cluster, name: str, now: datetime) -> View:
    run = cluster.run(name)
    pods = cluster.pods(run)
    learner = learner_0(run, pods)
    lines = lines_of(_log(cluster, run, pods, LAST_LINES))
    return View(
        run=run,
        pods=pods,
        steps=steps_of(lines),
        phases=phases_of(cluster.metrics(learner)) if learner else {},
        why=_why(cluster, run, pods, lines, now),
    )


def print_metrics(given: argparse.Namespace) -> int:
    cluster = cluster_of(given)
    run = cluster.run(given.name)
    steps = steps_of(lines_of(_log(cluster, run, cluster.pods(run), "--tail=-1")))
    if given.output == "json":
        print(_as_json([{"step": step.step, "time": step.at.isoformat(), **step.numbers} for step in steps]))
    else:
        _print_csv(steps)
    return 0


def _set_suspend(suspend: bool) -> Callable[[argparse.Namespace], int]:
    def run(given: argparse.Namespace) -> int:
        cluster_of(given).patch(given.name, {"suspend": suspend})
        print(f"grporun/{given.name} {'is being suspended' if suspend else 'goes on'}")
        return 0

    return run


def scale(given: argparse.Namespace) -> int:
    cluster_of(given).scale(given.name, given.generators)
    print(f"grporun/{given.name} gets {given.generators} generators")
    return 0


def _why(cluster: Cluster, run: Manifest, pods: list[Manifest], lines: list[Line], now: datetime) -> list[str]:
    names = [run["metadata"]["name"], *(pod["metadata"]["name"] for pod in pods)]
    return why(run, cluster.events(names), lines[-1] if lines else None, now)


def _log(cluster: Cluster, run: Manifest, pods: list[Manifest], *options: str) -> str:
    learner = learner_0(run, pods)
    return cluster.log(learner, *options) if learner else ""


def _print_csv(steps: Iterable[StepLine]) -> None:
    known = list(steps)
    names = list(dict.fromkeys(name for step in known for name in step.numbers))
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(["step", "time", *names])
    for step in known:
        out.writerow([step.step, step.at.isoformat(), *(step.numbers.get(name, "") for name in names)])


def _as_json(content: Any) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False)


def _now() -> datetime:
    return datetime.now(UTC)
