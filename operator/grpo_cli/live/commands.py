"""Options of the commands about runs on a cluster; what each asks of it, and prints."""

import argparse
import csv
import json
import sys
import time
import webbrowser
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final

from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

from grpo_cli.live.cluster import Cluster, ClusterError, Manifest
from grpo_cli.live.completions import group_lines
from grpo_cli.live.following import follow_run
from grpo_cli.live.history import Line, StepLine, lines_of, steps_of
from grpo_cli.live.logs import COLOURS, as_entry, chosen, is_of_rank, merged, short_name
from grpo_cli.live.page import page_of
from grpo_cli.live.pods import attempt_of, learner_0
from grpo_cli.live.screen import View, as_dict, phases_of, picture
from grpo_cli.live.why import ENDED, why
from grpo_cli.options import COUNT, count, read_as
from grpo_contract.labels import Role

Commands = Any
"""What argparse makes parsers of commands with; its type has no public name."""
KUBECTLS: Final = ("namespace", "context", "kubeconfig")
"""Options that are handed on to kubectl."""
LOOK_EVERY_S: Final = 2.0
WIDTH: Final = 160
"""Where nobody says how wide it may be."""
LAST_LINES: Final = "--tail=2000"
"""Of learner 0's log, for the course of the last steps."""


def add_commands(commands: Commands) -> None:
    _add(commands, "why", print_why, "say what a run waits for, or why it failed")
    top = _add(commands, "top", print_top, "show how a run is doing, live")
    top.add_argument("--once", action="store_true", help="print one picture, and end")
    logs = _add(commands, "logs", print_logs, "print the logs of all pods of the current attempt, as one")
    logs.add_argument("-f", "--follow", action="store_true", help="go on with what comes")
    logs.add_argument("--since", metavar="TIME", help="only what is newer, as in 10m")
    logs.add_argument("--role", choices=[role.value for role in (Role.LEARNER, Role.GENERATOR)])
    logs.add_argument("--rank", type=int, metavar="N", help="of one learner process")
    told = "print the newest groups of completions, with their rewards"
    completions = _add(commands, "completions", print_completions, told)
    completions.add_argument(
        "--last", type=read_as(count, COUNT), default=2, metavar="N", help="groups; %(default)s without this"
    )
    completions.add_argument("--step", type=read_as(count, COUNT), metavar="N", help="all groups of this step")
    completions.add_argument("--whole", action="store_true", help="texts without cuts")
    opening = _add(commands, "open", open_page, "open the page with all completions in a browser")
    opening.add_argument("--no-browser", action="store_true", help="print its address only")
    for command in (completions, opening):
        command.add_argument("--image", help="to read the volume with, when learners are gone; theirs without this")
    metrics = _add(commands, "metrics", print_metrics, "print the numbers of each step", outputs=("csv", "json"))
    metrics.description = "From the log of the current attempt's learner 0, as far as that goes back."
    for name, suspend, told in (
        ("suspend", True, "stop a run, and keep its checkpoint"),
        ("resume", False, "go on with it"),
    ):
        _add(commands, name, _set_suspend(suspend), told)
    scaling = _add(commands, "scale", scale, "change the number of generators, while the run goes on")
    scaling.add_argument("--generators", type=int, required=True, metavar="N", help="pods")


def _add(
    commands: Commands,
    name: str,
    run: Callable[[argparse.Namespace], int],
    told: str,
    outputs: Sequence[str] = ("text", "json"),
) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(name, help=told)
    command.set_defaults(run=run)
    name_of_run = command.add_argument("name", metavar="NAME", help="of the GRPORun")
    name_of_run.completer = run_names  # type: ignore[attr-defined]  # for shell.py
    command.add_argument("-n", "--namespace", help="its namespace; that of the current context without this")
    for option in KUBECTLS[1:]:
        command.add_argument(f"--{option}", help="as for kubectl")
    command.add_argument("-o", "--output", choices=outputs, default=outputs[0])
    return command


def cluster_of(given: argparse.Namespace) -> Cluster:
    said = [(option, getattr(given, option)) for option in KUBECTLS]
    return Cluster(tuple(f"--{option}={value}" for option, value in said if value is not None))


def run_names(prefix: str, parsed_args: argparse.Namespace, **_: Any) -> list[str]:
    """For the completion of a NAME; a cluster that does not answer has none."""
    try:
        return cluster_of(parsed_args).run_names()
    except ClusterError:
        return []


def print_why(given: argparse.Namespace) -> int:
    cluster = cluster_of(given)
    run = cluster.run(given.name)
    pods = cluster.pods(run)
    lines = _why(cluster, run, pods, _last_lines(cluster, run, pods, "--tail=1"), _now())
    print(_as_json({"why": lines}) if given.output == "json" else "\n".join(lines))
    return 0


def print_top(given: argparse.Namespace) -> int:
    cluster = cluster_of(given)
    if given.output == "json":
        print(_as_json(as_dict(look(cluster, given.name, _now()))))
        return 0
    console = Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH)
    if given.once:
        console.print(picture(look(cluster, given.name, _now()), _now()))
        return 0
    console.print(_watch(cluster, given.name, console))
    return 0


def _watch(cluster: Cluster, name: str, console: Console) -> RenderableType:
    """Until the run has ended: the last picture. A look that fails, but for the first one, leaves the one before."""
    view = look(cluster, name, _now())
    with Live(picture(view, _now()), console=console, auto_refresh=False, screen=console.is_terminal) as live:
        while view.status.get("phase") not in ENDED:
            time.sleep(LOOK_EVERY_S)
            with suppress(ClusterError):
                view = look(cluster, name, _now())
                live.update(picture(view, _now()), refresh=True)
    return picture(view, _now())


def look(cluster: Cluster, name: str, now: datetime) -> View:
    run = cluster.run(name)
    pods = cluster.pods(run)
    learner = learner_0(run, pods)
    lines = _last_lines(cluster, run, pods, LAST_LINES)
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
    learner = learner_0(run, cluster.pods(run))
    if learner is None:
        raise ClusterError(f"grporun/{given.name} has no pod of learner 0, whose log has the numbers.")
    steps = steps_of(lines_of(cluster.log(learner, "--tail=-1")))
    if given.output == "json":
        print(_as_json([{"step": step.step, "time": step.at.isoformat(), **step.numbers} for step in steps]))
    else:
        _print_csv(steps)
    return 0


def print_completions(given: argparse.Namespace) -> int:
    cluster = cluster_of(given)
    with page_of(cluster, cluster.run(given.name), given.image, _tell) as page:
        groups = page.newest_groups(given.last, given.step)
    if not groups:
        raise ClusterError(f"no completions{f' of step {given.step}' if given.step else ''} are kept on the volume.")
    if given.output == "json":
        print(_as_json(groups))
    else:
        print("\n\n".join("\n".join(group_lines(group, whole=given.whole)) for group in groups))
    return 0


def open_page(given: argparse.Namespace) -> int:
    """Until it is interrupted, or the pod that serves it ends."""
    cluster = cluster_of(given)
    with page_of(cluster, cluster.run(given.name), given.image, _tell) as page:
        print(json.dumps({"address": page.address}) if given.output == "json" else page.address, flush=True)
        if not given.no_browser:
            webbrowser.open(page.address)
        page.forward.wait()
    raise ClusterError("the pod that served the page has ended; open it again.")


def _tell(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


def print_logs(given: argparse.Namespace) -> int:
    cluster = cluster_of(given)
    role = Role.LEARNER.value if given.rank is not None else given.role
    options = ("--tail=-1", *([f"--since={given.since}"] if given.since else []))
    tell = _teller(given)
    if given.follow:
        return _told(follow_run(cluster, given.name, role, options, tell))
    run = cluster.run(given.name)
    logs, troubles = {}, []
    for pod in chosen(cluster.pods(run), attempt_of(run), role):
        try:
            logs[pod["metadata"]["name"]] = lines_of(cluster.log(pod, *options))
        except ClusterError as trouble:
            troubles.append(str(trouble))
    for name, line in merged(logs):
        tell(name, line)
    return _told(troubles)


def _teller(given: argparse.Namespace) -> Callable[[str, Line], None]:
    """Prints a line of a pod, with its name before it, in a colour of its own."""
    console = Console(highlight=False, soft_wrap=True)
    colours: dict[str, str] = {}

    def tell(pod: str, line: Line) -> None:
        if given.rank is not None and not is_of_rank(line, given.rank):
            return
        if given.output == "json":
            sys.stdout.write(as_entry(pod, line) + "\n")
            sys.stdout.flush()
            return
        colour = colours.setdefault(pod, COLOURS[len(colours) % len(COLOURS)])
        for text in line.text.split("\n"):
            console.print(Text.assemble((f"{short_name(pod, given.name)} ", colour), text))

    return tell


def _told(troubles: list[str]) -> int:
    for trouble in troubles:
        print(f"error: {trouble}", file=sys.stderr)
    return 1 if troubles else 0


def _set_suspend(suspend: bool) -> Callable[[argparse.Namespace], int]:
    def run(given: argparse.Namespace) -> int:
        cluster = cluster_of(given)
        cluster.patch(given.name, {"suspend": suspend})
        return _tell_change(given, cluster, "is being suspended" if suspend else "goes on")

    return run


def scale(given: argparse.Namespace) -> int:
    cluster = cluster_of(given)
    cluster.scale(given.name, given.generators)
    return _tell_change(given, cluster, f"gets {given.generators} generators")


def _tell_change(given: argparse.Namespace, cluster: Cluster, words: str) -> int:
    print(_as_json(cluster.run(given.name)) if given.output == "json" else f"grporun/{given.name} {words}")
    return 0


def _why(cluster: Cluster, run: Manifest, pods: list[Manifest], lines: list[Line], now: datetime) -> list[str]:
    names = [run["metadata"]["name"], *(pod["metadata"]["name"] for pod in pods)]
    return why(run, cluster.events(names), lines[-1] if lines else None, now)


def _last_lines(cluster: Cluster, run: Manifest, pods: list[Manifest], options: str) -> list[Line]:
    """Of learner 0; none where it has no log, or none that may be read: the rest tells enough."""
    learner = learner_0(run, pods)
    if learner is None:
        return []
    try:
        return lines_of(cluster.log(learner, options))
    except ClusterError:
        return []


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
