"""What is done to a run. Each returns the pods that it hurt, and comes back when it is over."""

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from chaos.arena import DEADLINES, EVERY_STEPS, Arena, processes
from cluster.cgroups import command_of, kill
from e2e.operator_pod import kill_operator
from grpo_contract.grace import LEARNER_GRACE_PERIOD_S
from grpo_operator.desired.generators import GRACE_PERIOD_S, HANGS_S, LIVENESS_PERIOD_S
from grpo_operator.desired.names import token_secret
from grpo_operator.reconcile.restart import GONE_GRACE_S
from harness.installation import OPERATOR_NAMESPACE, RELEASE, tool
from harness.kubectl import Manifest
from harness.outages import wait_through_outages

RANK = "grpo_trainer.worker"
CONNECTION_S, HANG_S = 3.0, DEADLINES["generateSeconds"] + 10.0
"""Within which a generator that is gone, and one that hangs, is noticed."""


class Hurt(StrEnum):
    """Who is, which says what may be lost."""

    GENERATORS = "generators"
    """No step is lost, and no attempt."""
    LEARNERS = "learners"
    """The attempt is lost, and steps since the newest checkpoint."""
    NOBODY = "nobody"
    """Training goes on as if nothing had happened, at the latest when it is over."""


def _nothing(arena: Arena, victims: list[Manifest]) -> None:
    pass


@dataclass(frozen=True)
class Fault:
    name: str
    hurt: Hurt
    strike: Callable[[Arena], list[Manifest]]
    noticed_within_s: float = CONNECTION_S
    steps_lost_at_most: int = EVERY_STEPS
    ended_within_s: float = 0.0
    """Until a deadline ends it, if the fault does not."""
    mend: Callable[[Arena, list[Manifest]], None] = _nothing
    """When the run has got over it: takes the victims."""


def kill_generator(arena: Arena) -> list[Manifest]:
    victim = arena.pods("generator")[0]
    kill(processes(victim))
    return [victim]


def delete_generator(arena: Arena) -> list[Manifest]:
    victim = arena.pods("generator")[-1]
    arena.kubectl("delete", "pod", victim["metadata"]["name"], "--wait=false")
    return [victim]


def stop_generator(arena: Arena) -> list[Manifest]:
    victim = arena.pods("generator")[0]
    for pid in processes(victim):
        os.kill(pid, signal.SIGSTOP)
    return [victim]


def kill_all_generators(arena: Arena) -> list[Manifest]:
    victims = arena.pods("generator")
    kill([pid for victim in victims for pid in processes(victim)])
    return victims


def kill_generator_in_update(arena: Arena) -> list[Manifest]:
    """Right after a step, when new weights are on their way to it."""
    victim = arena.pods("generator")[-1]
    doomed, since_s = processes(victim), time.time()
    arena.wait_for_line("the end of a step", r"step \d+/\d+  reward ", since_s, 60)
    kill(doomed)
    return [victim]


def kill_learner(number: int) -> Callable[[Arena], list[Manifest]]:
    def strike(arena: Arena) -> list[Manifest]:
        victim = arena.learners()[number]
        kill(processes(victim))
        return [victim]

    return strike


def delete_learner(arena: Arena) -> list[Manifest]:
    victim = arena.learners()[1]
    arena.kubectl("delete", "pod", victim["metadata"]["name"], "--wait=false")
    return [victim]


def stop_learner(arena: Arena) -> list[Manifest]:
    """Its rank, as if it hung. Learner 0 waits for it in a collective operation, until its watchdog ends it."""
    victim = arena.learners()[1]
    for pid in processes(victim):
        if RANK in command_of(pid):
            os.kill(pid, signal.SIGSTOP)
    return [victim]


NEWEST = """
import glob, os
marker = max(glob.glob("/volume/runs/*/checkpoints/checkpoint-*/complete.json"), key=os.path.getmtime)
files = [os.path.join(folder, name) for folder, _, names in os.walk(os.path.dirname(marker)) for name in names]
largest = max(files, key=os.path.getsize)
"""
CUT_OFF = "os.truncate(largest, os.path.getsize(largest) // 2)"
FLIP = """
with open(largest, "r+b") as file:
    file.seek(os.path.getsize(largest) // 2)
    byte = file.read(1)[0]
    file.seek(-1, os.SEEK_CUR)
    file.write(bytes([byte ^ 1]))
"""
UNMARK = "os.remove(marker)"


def damage_checkpoint(how: str) -> Callable[[Arena], list[Manifest]]:
    """The newest one; then learner 0 is killed."""

    def strike(arena: Arena) -> list[Manifest]:
        arena.kubectl("exec", arena.learners()[0]["metadata"]["name"], "--", "python", "-c", NEWEST + how)
        return kill_learner(0)(arena)

    return strike


def drain_node(arena: Arena) -> list[Manifest]:
    """Of learner 1; it may be used again afterwards."""
    victim = arena.learners()[1]
    node = victim["spec"]["nodeName"]
    arena.cluster("drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=300s", "--force")
    arena.cluster("uncordon", node)
    return [victim]


def end_operator(arena: Arena) -> list[Manifest]:
    kill_operator(arena.cluster)
    return []


def hang_api_server(arena: Arena) -> list[Manifest]:
    """For a minute."""
    return _paused("kube-apiserver", 60)


def restart_api_server(arena: Arena) -> list[Manifest]:
    return _restarted("kube-apiserver", arena)


def restart_etcd(arena: Arena) -> list[Manifest]:
    return _restarted("etcd", arena)


def restart_kubelet(arena: Arena) -> list[Manifest]:
    return _restarted(f"{arena.learners()[0]['spec']['nodeName']}-kubelet", arena)


def stop_dns(arena: Arena) -> list[Manifest]:
    """For half a minute."""
    inside = arena.cluster.within("kube-system")
    inside("scale", "deployment/coredns", "--replicas=0")
    time.sleep(30)
    inside("scale", "deployment/coredns", "--replicas=1")
    inside("rollout", "status", "deployment/coredns", "--timeout=60s")
    return []


def rotate_token(arena: Arena) -> list[Manifest]:
    """The Secret is deleted, and the operator makes another."""
    secret = token_secret(arena.name)
    before = arena.kubectl.get("secret", secret)["metadata"]["uid"]
    arena.kubectl("delete", "secret", secret)

    def is_new() -> bool:
        found = arena.kubectl.find("secret", secret)
        return found is not None and found["metadata"]["uid"] != before

    wait_through_outages("another Secret", is_new, 60)
    return []


def cut_off_node(arena: Arena) -> list[Manifest]:
    """For half a minute: learner 1, and what else is there, hears nobody."""
    victim = arena.learners()[1]
    node = victim["spec"]["nodeName"]
    tool("cluster", "cut-off", node)
    try:
        time.sleep(30)
    finally:
        tool("cluster", "reconnect", node)
    return [victim]


def lose_node(arena: Arena) -> list[Manifest]:
    """Of learner 1, for good. What the cluster and the operator have there moves away first."""
    victim = arena.learners()[1]
    node = victim["spec"]["nodeName"]
    arena.cluster("cordon", node)
    for namespace, deployment in (("kube-system", "coredns"), (OPERATOR_NAMESPACE, RELEASE)):
        inside = arena.cluster.within(namespace)
        inside("delete", "pods", f"--field-selector=spec.nodeName={node}", "--timeout=60s")
        inside("rollout", "status", f"deployment/{deployment}", "--timeout=60s")
    arena.cluster("uncordon", node)
    tool("cluster", "cut-off", node)
    return [victim]


def bring_node_back(arena: Arena, victims: list[Manifest]) -> None:
    tool("cluster", "reconnect", victims[0]["spec"]["nodeName"])


def _restarted(daemon: str, arena: Arena) -> list[Manifest]:
    tool("cluster", "restart", daemon)
    wait_through_outages("an API server that answers", lambda: arena.run(), 120)
    return []


def _paused(daemon: str, seconds: float) -> list[Manifest]:
    tool("cluster", "pause", daemon)
    try:
        time.sleep(seconds)
    finally:
        tool("cluster", "resume", daemon)
    return []


FAULTS = (
    Fault("generator killed", Hurt.GENERATORS, kill_generator),
    # It has its grace period to answer what it was asked for.
    Fault("generator deleted", Hurt.GENERATORS, delete_generator, CONNECTION_S + GRACE_PERIOD_S),
    Fault("generator killed in a weight update", Hurt.GENERATORS, kill_generator_in_update),
    Fault("all generators killed", Hurt.GENERATORS, kill_all_generators),
    Fault(
        "generator stopped",
        Hurt.GENERATORS,
        stop_generator,
        HANG_S,
        ended_within_s=HANGS_S + LIVENESS_PERIOD_S + GRACE_PERIOD_S,
    ),
    Fault("learner 0 killed", Hurt.LEARNERS, kill_learner(0)),
    Fault("learner 1 killed", Hurt.LEARNERS, kill_learner(1)),
    Fault("learner 1 deleted", Hurt.LEARNERS, delete_learner),
    Fault("learner 1 hung", Hurt.LEARNERS, stop_learner, ended_within_s=DEADLINES["collectiveSeconds"]),
    Fault("newest checkpoint cut off", Hurt.LEARNERS, damage_checkpoint(CUT_OFF), steps_lost_at_most=2 * EVERY_STEPS),
    Fault("a bit of it flipped", Hurt.LEARNERS, damage_checkpoint(FLIP), steps_lost_at_most=2 * EVERY_STEPS),
    Fault("its marker removed", Hurt.LEARNERS, damage_checkpoint(UNMARK), steps_lost_at_most=2 * EVERY_STEPS),
    Fault("node cut off for half a minute", Hurt.NOBODY, cut_off_node),
    Fault(
        "node lost for good",
        Hurt.LEARNERS,
        lose_node,
        ended_within_s=DEADLINES["collectiveSeconds"] + LEARNER_GRACE_PERIOD_S + GONE_GRACE_S,
        mend=bring_node_back,
    ),
    Fault("node drained", Hurt.LEARNERS, drain_node),
    Fault("operator killed", Hurt.NOBODY, end_operator),
    Fault("API server hung for a minute", Hurt.NOBODY, hang_api_server),
    Fault("API server restarted", Hurt.NOBODY, restart_api_server),
    Fault("etcd restarted", Hurt.NOBODY, restart_etcd),
    Fault("kubelet restarted", Hurt.NOBODY, restart_kubelet),
    Fault("DNS down for half a minute", Hurt.NOBODY, stop_dns),
    Fault("token rotated", Hurt.NOBODY, rotate_token),
)
