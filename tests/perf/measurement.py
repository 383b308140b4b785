"""The measurements themselves, each on a cluster of its own, which is empty when it starts."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from grpo_operator.api.status import ConditionType
from grpo_operator.reconcile.reasons import Reason
from harness.kubectl import condition
from harness.waiting import wait_for
from perf.audit_log import creations, is_for_runs, last_answer_after
from perf.creators import NAMESPACE, create_runs, create_runs_with_children, make_volumes
from perf.process_cost import cpu_s, resident_mib
from perf.scene import CHILDREN, CHILDREN_PER_RUN, OPERATOR_USER, PODS_PER_RUN, Scene, fresh_scene
from simulated.operator_process import Operator, running_operator

RUNS = ("grporuns",)
PODS = ("pods",)
PAUSE_S = 0.5
IDLE_S = 60.0
NOTED_EVERY_S = 5.0
RUN_TIMEOUT_S = 60.0
QUIET_TIMEOUT_S = 900.0
BURST_TIMEOUT_S_PER_RUN = 1.0


@dataclass(frozen=True)
class OneByOne:
    children_s: list[float]
    """From the receipt of each run to its last child."""
    pods_s: list[float]
    requests_per_run: float
    cpu_s_per_run: float
    empty_rss_mib: float


@dataclass(frozen=True)
class Burst:
    children_s: float
    """From the receipt of the first run to the last child of any."""
    rss_mib: float
    idle_requests_per_minute: float | None


def measure_one_by_one(folder: Path, runs: int) -> OneByOne:
    names = [f"single-{index}" for index in range(runs)]
    with fresh_scene(folder, runs) as scene, _warm_operator(scene, names) as operator:
        empty_mib = resident_mib(operator.process.pid)
        scene.wait_until_quiet(QUIET_TIMEOUT_S)
        before, cpu_before = len(scene.log.read()), cpu_s(operator.process.pid)
        latencies = [_measure_single(scene, name) for name in names]
        scene.wait_until_quiet(QUIET_TIMEOUT_S)
        cpu = cpu_s(operator.process.pid) - cpu_before
        requests = [entry for entry in scene.log.read()[before:] if entry.user == OPERATOR_USER and is_for_runs(entry)]
    children_s, pods_s = zip(*latencies, strict=True)
    return OneByOne(list(children_s), list(pods_s), len(requests) / runs, cpu / runs, empty_mib)


def measure_burst(folder: Path, runs: int, is_idle_measured: bool) -> Burst:
    names = [f"burst-{index}" for index in range(runs)]
    with fresh_scene(folder, runs) as scene, _warm_operator(scene, names) as operator:
        before = len(scene.log.read())
        create_runs(scene.admin_kubeconfig, names)
        children_s = _burst_seconds(scene, before, runs)
        # Not until all is quiet: the cluster's controllers take minutes for as many pods, and by then the operator goes
        # through its first runs anew.
        scene.wait_for_objects(PODS, runs * PODS_PER_RUN, before, QUIET_TIMEOUT_S)
        rss_mib = resident_mib(operator.process.pid)
        idle = _idle_requests_per_minute(scene) if is_idle_measured else None
    return Burst(children_s, rss_mib, idle)


def measure_raw_burst(folder: Path, runs: int) -> float:
    """The same without operator: what the cluster allows. By the operator's account, which may do anything here."""
    names = [f"burst-{index}" for index in range(runs)]
    with fresh_scene(folder, runs) as scene:
        account = OPERATOR_USER.removeprefix("system:serviceaccount:")
        scene.kubectl(
            "create", "clusterrolebinding", "raw", "--clusterrole=cluster-admin", f"--serviceaccount={account}"
        )
        make_volumes(scene.admin_kubeconfig, names)
        before = len(scene.log.read())
        create_runs_with_children(scene.operator_kubeconfig, names)
        return _burst_seconds(scene, before, runs)


@contextmanager
def _warm_operator(scene: Scene, names: list[str]) -> Iterator[Operator]:
    """It has made the children of the first run, and those of `names` will find their volumes."""
    make_volumes(scene.admin_kubeconfig, names)
    with running_operator(scene.operator_kubeconfig, scene.folder) as operator:
        scene.wait_for_objects(PODS, PODS_PER_RUN, 0, RUN_TIMEOUT_S)
        yield operator


def _measure_single(scene: Scene, name: str) -> tuple[float, float]:
    """Seconds to the last child and to the last pod."""
    before = len(scene.log.read())
    create_runs(scene.admin_kubeconfig, [name])
    scene.wait_for_objects(PODS, PODS_PER_RUN, before, RUN_TIMEOUT_S)
    time.sleep(PAUSE_S)
    requests = scene.log.read()[before:]
    (run,) = creations(requests, RUNS, NAMESPACE)
    children = creations(requests, CHILDREN, NAMESPACE, OPERATOR_USER)
    to_child = last_answer_after(children, run.received, CHILDREN_PER_RUN)
    to_pod = last_answer_after(creations(requests, PODS, NAMESPACE), run.received, PODS_PER_RUN)
    assert to_child is not None, f"{name} has {len(children)} children"
    assert to_pod is not None
    return to_child, to_pod


def _burst_seconds(scene: Scene, before: int, runs: int) -> float:
    count = runs * CHILDREN_PER_RUN
    scene.wait_for_objects(CHILDREN, count, before, RUN_TIMEOUT_S + runs * BURST_TIMEOUT_S_PER_RUN)
    requests = scene.log.read()[before:]
    first = min(run.received for run in creations(requests, RUNS, NAMESPACE))
    seconds = last_answer_after(creations(requests, CHILDREN, NAMESPACE, OPERATOR_USER), first, count)
    assert seconds is not None
    return seconds


def _idle_requests_per_minute(scene: Scene) -> float:
    """At rest: when of every run it is noted that its learner, which is none, does not answer."""

    def are_noted() -> bool:
        conditions = [condition(run, ConditionType.PROGRESSING) for run in scene.kubectl.find_all("grporun")]
        return all(entry and entry["reason"] == Reason.PROGRESS_UNREADABLE for entry in conditions)

    wait_for("learners that do not answer", are_noted, QUIET_TIMEOUT_S, NOTED_EVERY_S)
    scene.wait_until_quiet(QUIET_TIMEOUT_S)
    before = len(scene.log.read())
    time.sleep(IDLE_S)
    requests = scene.log.read()[before:]
    return sum(request.user == OPERATOR_USER for request in requests) * 60 / IDLE_S
