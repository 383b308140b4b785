"""Faults of what the run stands on: nodes, the API server, the operator. Each comes back when it is over."""

import time
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final

from chaos.arena import Arena
from chaos.blow import Blow, about_to_hurt
from grpo_contract.files import TOKEN_FILE
from grpo_operator.desired.names import token_secret
from harness.installation import OPERATOR_NAMESPACE, RELEASE, tool
from harness.kubectl import Manifest
from harness.operator_pod import kill_operator
from harness.outages import wait_through_outages

TOKEN_COMES_S: Final = 180.0
"""A kubelet looks at Secrets that it has mounted about once a minute."""


def drain_node(arena: Arena) -> Blow:
    """Of learner 1; it may be used again afterwards."""
    victim = arena.learners()[1]
    node = victim["spec"]["nodeName"]
    blow = about_to_hurt(arena, victim)
    with _undone_by(lambda: arena.cluster("uncordon", node)):
        arena.cluster("drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=300s", "--force")
    return blow


def cut_off_node(arena: Arena) -> Blow:
    """For half a minute: learner 1, and what else is there, hears nobody."""
    victim = arena.learners()[1]
    node = victim["spec"]["nodeName"]
    blow = about_to_hurt(arena, victim)
    with _undone_by(lambda: tool("cluster", "reconnect", node)):
        tool("cluster", "cut-off", node)
        time.sleep(30)
    return blow


def lose_node(arena: Arena) -> Blow:
    """Of learner 1, for good. What the cluster and the operator have there moves away first."""
    victim = arena.learners()[1]
    node = victim["spec"]["nodeName"]
    with _undone_by(lambda: arena.cluster("uncordon", node)):
        arena.cluster("cordon", node)
        for namespace, deployment in (("kube-system", "coredns"), (OPERATOR_NAMESPACE, RELEASE)):
            inside = arena.cluster.within(namespace)
            inside("delete", "pods", f"--field-selector=spec.nodeName={node}", "--timeout=60s")
            inside("rollout", "status", f"deployment/{deployment}", "--timeout=60s")
    blow = about_to_hurt(arena, victim)
    tool("cluster", "cut-off", node)
    return blow


def bring_node_back(arena: Arena, blow: Blow) -> None:
    tool("cluster", "reconnect", blow.victims[0]["spec"]["nodeName"])


def end_operator(arena: Arena) -> Blow:
    blow = about_to_hurt(arena)
    kill_operator(arena.cluster)
    return blow


def hang_api_server(arena: Arena) -> Blow:
    """For a minute."""
    blow = about_to_hurt(arena)
    with _undone_by(lambda: tool("cluster", "resume", "kube-apiserver")):
        tool("cluster", "pause", "kube-apiserver")
        time.sleep(60)
    return blow


def restart_api_server(arena: Arena) -> Blow:
    return _restarted("kube-apiserver", arena)


def restart_etcd(arena: Arena) -> Blow:
    return _restarted("etcd", arena)


def restart_kubelet(arena: Arena) -> Blow:
    return _restarted(f"{arena.learners()[0]['spec']['nodeName']}-kubelet", arena)


def stop_dns(arena: Arena) -> Blow:
    """For half a minute."""
    inside = arena.cluster.within("kube-system")
    blow = about_to_hurt(arena)
    with _undone_by(lambda: inside("scale", "deployment/coredns", "--replicas=1")):
        inside("scale", "deployment/coredns", "--replicas=0")
        time.sleep(30)
    inside("rollout", "status", "deployment/coredns", "--timeout=60s")
    return blow


def rotate_token(arena: Arena) -> Blow:
    """The Secret is deleted, and the operator makes another. It is over when each pod has it, which kubelets take their time for."""
    secret = token_secret(arena.name)
    before, blow = arena.kubectl.get("secret", secret)["metadata"]["uid"], about_to_hurt(arena)
    arena.kubectl("delete", "secret", secret)

    def find_new() -> Manifest | None:
        found = arena.kubectl.find("secret", secret)
        return found if found and found["metadata"]["uid"] != before else None

    token = b64decode(wait_through_outages("another Secret", find_new, 60)["data"][TOKEN_FILE.name]).decode()
    for pod in (*arena.learners(), *arena.pods("generator")):
        read = partial(arena.kubectl, "exec", pod["metadata"]["name"], "--", "cat", str(TOKEN_FILE))
        wait_through_outages("the new token in a pod", lambda read=read: read().strip() == token, TOKEN_COMES_S)  # type: ignore[misc]
    return blow


@contextmanager
def _undone_by(undo: Callable[[], object]) -> Iterator[None]:
    """Whatever becomes of what is done: the faults after it need the cluster."""
    try:
        yield
    finally:
        undo()


def _restarted(daemon: str, arena: Arena) -> Blow:
    blow = about_to_hurt(arena)
    tool("cluster", "restart", daemon)
    wait_through_outages("an API server that answers", lambda: arena.run(), 120)
    return blow
