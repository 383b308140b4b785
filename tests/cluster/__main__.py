"""The commands: `python3 -m cluster COMMAND`, with the folder `tests` on PYTHONPATH."""

import argparse
import contextlib
import signal
import sys
from pathlib import Path

from cluster import cgroups, lifecycle
from cluster.build import build
from cluster.fake_nodes import add_fake_nodes
from cluster.host_python import write_environment_image
from cluster.images import reference
from cluster.layout import KUBECONFIG, MAX_NODES, MONITORING_NAMESPACE, PROMETHEUS_PORT, RUN
from cluster.lifecycle import Shape
from cluster.lock import alone
from cluster.node import cut_off, load_images, reconnect, remove_image
from cluster.processes import dead_daemons, kubectl_command, respawn, run, signal_daemon
from cluster.waiting import ClusterError


def main() -> None:
    arguments = _parser().parse_args()
    try:
        arguments.action(arguments)
    except ClusterError as error:
        sys.exit(str(error))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python3 -m cluster", description=sys.modules["cluster"].__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, action: object, text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text)
        added.set_defaults(action=action)
        return added

    command("build", _build, "compile every program and write the basic images, unless that is done")
    up = command("up", _up, "start a cluster, or leave the one that runs if it is the same and healthy")
    up.add_argument("--nodes", type=int, default=2, choices=range(1, MAX_NODES + 1))
    up.add_argument("--audit", action="store_true", help="keep the API server's audit log in run/logs/audit.log")
    up.add_argument("--control-plane-only", action="store_true", help="no kubelets, for simulated nodes")
    up.add_argument("--fresh", action="store_true", help="start anew even if a healthy cluster runs")
    command("down", _down, "end everything that `up` started; right at any time, twice, or after a crash")
    command("status", _status, "processes, their memory, nodes; fails when no cluster runs")
    command("kubeconfig", _kubeconfig, "print the path for $KUBECONFIG; fails when no cluster runs")
    command("bin", _bin, "print the folder of kubectl, helm, helm-unittest, promtool and the rest")
    command("prometheus-url", _prometheus_url, "print the address of Prometheus, as this machine reaches it")
    load = command("load", _load, "import docker-archives on every node, or on one")
    load.add_argument("archives", nargs="+", type=Path, metavar="TAR")
    load.add_argument("--node", help="only on this node")
    unload = command("unload", _unload, "remove an image from every node that has it, and wait until its space is free")
    unload.add_argument("image", metavar="IMAGE", help="its full name, such as docker.io/library/grpo-operator:0.1.0")
    text = "make an image whose pods, of runtime class host-python, run this Python environment; print its name"
    environment = command("load-environment", _load_environment, text)
    environment.add_argument("environment", type=Path, metavar="FOLDER")
    fake = command("fake-nodes", _fake_nodes, "let kwok add COUNT simulated nodes, tainted kwok.x-k8s.io/node=fake")
    fake.add_argument("count", type=int, metavar="COUNT")
    command("cut-off", _cut_off, "take a node's network away").add_argument("node")
    command("reconnect", _reconnect, "give it back").add_argument("node")
    text = "stop a daemon of the cluster, such as kube-apiserver, node1-kubelet: it answers nobody"
    command("pause", _pause, text).add_argument("daemon")
    command("resume", _resume, "let it go on").add_argument("daemon")
    command("restart", _restart, "kill a daemon and start it again").add_argument("daemon")
    prove = command("prove", _prove, "show each ability of the running cluster that tests build on")
    prove.add_argument("abilities", nargs="*", metavar="ABILITY", help="only these; the slow ones must be named")
    command("prove-end", _prove_end, "kill every process of the running cluster, and show that `down` leaves nothing")
    return parser


def _build(_: argparse.Namespace) -> None:
    print(build().folder)


def _up(arguments: argparse.Namespace) -> None:
    lifecycle.up(Shape(arguments.nodes, arguments.audit, arguments.control_plane_only), arguments.fresh)


def _down(_: argparse.Namespace) -> None:
    was_there = lifecycle.down()
    print("The local cluster has ended, and what ran in it is gone." if was_there else "No local cluster was there.")


def _status(_: argparse.Namespace) -> None:
    for group in cgroups.existing():
        for pid in cgroups.processes(group):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
                program = Path(cgroups.command_of(pid)[0]).name
                fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
                resident_mib = int(fields["VmRSS"].split()[0]) // 1024
                print(f"{group:15} {pid:8} {resident_mib:5} MiB  {program}")
    _require_cluster()
    if dead := dead_daemons():
        raise ClusterError(f"{', '.join(dead)} died: read run/logs, then `make cluster-up` starts a new cluster")
    print(run(*kubectl_command(lifecycle.running_build().binaries), "get", "node"), end="")


def _kubeconfig(_: argparse.Namespace) -> None:
    _require_cluster()
    print(KUBECONFIG)


def _require_cluster() -> None:
    # The file outlives a restart of the machine, the groups do not.
    if not KUBECONFIG.exists() or not cgroups.existing():
        raise ClusterError("no local cluster runs: `make cluster-up` starts one")


def _bin(_: argparse.Namespace) -> None:
    print(lifecycle.running_build().binaries)


def _prometheus_url(_: argparse.Namespace) -> None:
    kubectl = kubectl_command(lifecycle.running_build().binaries)
    ready = ["--selector=app=prometheus", "--field-selector=status.phase=Running"]
    address = run(*kubectl, "-n", MONITORING_NAMESPACE, "get", "pod", *ready, "-o", "jsonpath={.items[0].status.podIP}")
    print(f"http://{address}:{PROMETHEUS_PORT}")


def _load(arguments: argparse.Namespace) -> None:
    with alone():
        load_images(arguments.archives, [arguments.node] if arguments.node else None)


def _unload(arguments: argparse.Namespace) -> None:
    with alone():
        remove_image(arguments.image)


def _load_environment(arguments: argparse.Namespace) -> None:
    with alone():
        load_images([write_environment_image(RUN, arguments.environment)])
    print(reference(arguments.environment.name))


def _fake_nodes(arguments: argparse.Namespace) -> None:
    with alone():
        add_fake_nodes(arguments.count, lifecycle.running_build())


def _cut_off(arguments: argparse.Namespace) -> None:
    cut_off(arguments.node)


def _reconnect(arguments: argparse.Namespace) -> None:
    reconnect(arguments.node)


def _pause(arguments: argparse.Namespace) -> None:
    signal_daemon(arguments.daemon, signal.SIGSTOP)


def _resume(arguments: argparse.Namespace) -> None:
    signal_daemon(arguments.daemon, signal.SIGCONT)


def _restart(arguments: argparse.Namespace) -> None:
    respawn(arguments.daemon)


def _prove(arguments: argparse.Namespace) -> None:
    from cluster.prove import prove  # no other command needs it

    prove(arguments.abilities)


def _prove_end(_: argparse.Namespace) -> None:
    from cluster.prove_end import prove_end  # likewise

    prove_end()
    print("The cluster was killed and has ended; `down` was right twice, and nothing is left.")


if __name__ == "__main__":
    main()
