"""Commands that run to their end, and daemons that outlive us."""

import json
import os
import signal
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from cluster import cgroups
from cluster.layout import COMMANDS, KUBECONFIG, LOGS, PIDS, RUN, SOURCES
from cluster.waiting import ClusterError, wait_for

COMMAND_S = 900.0
"""The longest installs packages, or unpacks an image on a node."""
QUESTION_S = 30.0


def run(
    *command: object,
    stdin: int | IO[bytes] = subprocess.DEVNULL,
    text: str | None = None,
    deadline_s: float = COMMAND_S,
) -> str:
    """The standard output of a command that must succeed; `text` becomes its standard input."""
    parts = [str(part) for part in command]
    source: dict[str, Any] = {"stdin": stdin} if text is None else {"input": text}
    try:
        done: subprocess.CompletedProcess[str] = subprocess.run(
            parts, check=False, capture_output=True, text=True, timeout=deadline_s, **source
        )
    except subprocess.TimeoutExpired:
        raise ClusterError(f"{' '.join(parts)}: not within {deadline_s:.0f} s") from None
    if done.returncode:
        raise ClusterError(f"{' '.join(parts)}\n{done.stdout}{done.stderr}".strip())
    return done.stdout


def output_or_nothing(*command: object, deadline_s: float = QUESTION_S) -> str:
    """For questions that are asked again and again until the answer is right."""
    try:
        return run(*command, deadline_s=deadline_s)
    except ClusterError:
        return ""


def spawn(name: str, group: str, command: Sequence[object]) -> int:
    """Start a daemon in cgroup `group`, detached from us, its output in LOGS; returns its pid."""
    members = cgroups.create(group)
    # The shell joins the cgroup and notes its pid before it becomes the daemon: at no moment is one outside.
    script = 'echo $$ > "$1"; echo $$ > "$2"; shift 2; exec "$@"'
    parts = ["setsid", "--fork", "sh", "-c", script, "sh", members, PIDS / name, *command]
    with log_of(name).open("wb") as log:
        subprocess.run(
            [str(part) for part in parts],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=_daemon_environment(os.environ),
            check=True,
        )
    wait_for(name, lambda: (PIDS / name).exists() and (PIDS / name).read_text().strip())
    (COMMANDS / name).write_text(json.dumps([group, *map(str, command)]))
    return pid_of(name)


def respawn(name: str) -> None:
    """End a daemon at once, and start it again as it was."""
    signal_daemon(name, signal.SIGKILL)
    wait_for(f"the end of {name}", lambda: name in dead_daemons())
    (PIDS / name).unlink()
    group, *command = json.loads((COMMANDS / name).read_text())
    spawn(name, group, command)


def signal_daemon(name: str, number: signal.Signals) -> None:
    if not (PIDS / name).exists():
        raise ClusterError(f"no daemon {name}; there are {', '.join(sorted(file.name for file in PIDS.iterdir()))}")
    os.kill(pid_of(name), number)


def _daemon_environment(ours: Mapping[str, str]) -> dict[str, str]:
    """Little of ours: a proxy or a KUBECONFIG of the person who runs `up` must not change what the daemons do."""
    kept = {name: ours[name] for name in ("PATH", "HOME", "XDG_CACHE_HOME") if name in ours}
    return kept | {"PYTHONPATH": str(SOURCES.parent), "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}


def log_of(name: str) -> Path:
    return LOGS / f"{name}.log"


def pid_of(name: str) -> int:
    return int((PIDS / name).read_text())


def dead_daemons() -> list[str]:
    """The daemons that were started and run no more; a pid counts only inside our cgroups, for pids are reused."""
    alive = {pid for group in cgroups.existing() for pid in cgroups.processes(group)}
    return sorted(file.name for file in PIDS.glob("*") if pid_of(file.name) not in alive)


def require_alive(names: Iterable[str]) -> None:
    if dead := sorted(set(names) & set(dead_daemons())):
        lines = log_of(dead[0]).read_text(errors="replace").splitlines()[-5:]
        raise ClusterError(f"{dead[0]} died; the end of {log_of(dead[0])}:\n" + "\n".join(lines))


def enter(node: str) -> list[str]:
    """The prefix that runs a command on a node. (`ip netns exec` would remount /sys and hide the cgroups.)"""
    return ["nsenter", f"--target={pid_of(f'{node}-namespaces')}", "--mount", "--net", "--uts"]


def kubectl_command(binaries: Path) -> list[str]:
    """kubectl as admin; its discovery cache lies with the cluster that it describes."""
    return [str(binaries / "kubectl"), f"--kubeconfig={KUBECONFIG}", f"--cache-dir={RUN / 'kubectl'}"]
