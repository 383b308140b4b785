"""A run that trains while it is hurt: two learners, and two generators, on the local cluster."""

import random
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cluster.cgroups import command_of, processes_of_pod
from demo.volume import on_local_cluster, prepare_volume, wait_for_volume
from grpo_contract.labels import ROLE_LABEL
from grpo_contract.log_entry import readable
from harness.alerts import load_alert_rules
from harness.demo_runs import small_run
from harness.installation import (
    install_operator,
    load_operator_image,
    load_trainer_image,
    local_cluster,
    local_settings,
    start_local_cluster,
)
from harness.kubectl import ENDED, Kubectl, Manifest
from harness.namespaces import create_namespace
from harness.outages import wait_through_outages
from harness.runs import RunEndedError, events_of, phase, pods, step
from harness.waiting import wait_for

NAMESPACE = "chaos"
EVERY_STEPS = 3
"""Of checkpoints."""
GENERATORS = 2
DEADLINES = {"collectiveSeconds": 110, "scoringSeconds": 30, "generateSeconds": 60, "weightSyncSeconds": 30}
"""As a run of such small steps might have them; that of a collective later than connections to a lost node break."""
APART = {
    "maxSkew": 1,
    "topologyKey": "kubernetes.io/hostname",
    "whenUnsatisfiable": "ScheduleAnyway",
    "labelSelector": {"matchLabels": {ROLE_LABEL: "learner"}},
}
"""Learners, if there are nodes enough: one of them is lost with its node."""
START_S = 400.0
CALM_S = 300.0
STEP_LINE = r"step \d+/\d+  reward "
STEP = re.compile(r"step (\d+)/\d+  reward .*  ([\d.]+) s$")
STAMPED = re.compile(r"(\d{4}-\d\d-\d\dT\S+) (.*)")
HOLDS = re.compile(r"generator (\S+) holds weights")


@dataclass(frozen=True)
class Line:
    time: float
    """Seconds since the epoch, at which it was written."""
    text: str


@dataclass(frozen=True)
class State:
    """Of the run, as its object tells."""

    attempt: int
    step: int
    in_sync: int
    is_training: bool
    seconds_per_step: float
    disruptions: int
    restarts: int
    """Of learners, by failures of the run itself."""
    failed_s: float
    """Seconds since the epoch, whole ones, at which it told of the last failure; 0 without one."""

    @classmethod
    def of(cls, run: Manifest) -> "State":
        generators, progress = (run["status"].get(part, {}) for part in ("generators", "progress"))
        return cls(
            attempt=run["status"].get("attempt", 1),
            step=step(run),
            in_sync=generators.get("inSync", 0),
            is_training=phase(run) == "Running",
            seconds_per_step=progress.get("secondsPerStep", 0.0),
            disruptions=run["status"].get("disruptions", 0),
            restarts=run["status"].get("learners", {}).get("restarts", 0),
            failed_s=_seconds(failure["time"]) if (failure := run["status"].get("lastFailure")) else 0.0,
        )


@dataclass(frozen=True)
class Arena:
    cluster: Kubectl
    kubectl: Kubectl
    name: str
    moments: random.Random

    def run(self) -> Manifest:
        return self.kubectl.get("grporun", self.name)

    def state(self) -> State:
        return State.of(self.run())

    def wait(self, what: str, is_so: Callable[[State], bool], timeout_s: float) -> State:
        """For a state of the run; also while the API server is away.

        Raises:
            RunEndedError: it has ended.
            TimeoutError: it has not come.
        """

        def look() -> State | None:
            if phase(run := self.run()) in ENDED:
                raise RunEndedError(self.name, run, what)
            state = State.of(run)
            return state if is_so(state) else None

        return wait_through_outages(what, look, timeout_s, interval_s=0.2)

    def wait_until_calm(self) -> State:
        """It trains, and each of its generators holds the learners' weights. Two steps on, nothing has changed."""
        calm = self.wait("a run that trains with all generators", _is_calm, START_S)
        return self.wait("two steps more", lambda now: _is_calm(now) and now.step >= calm.step + 2, CALM_S)

    def renew_generators(self) -> None:
        """Those that have ended before: the kubelet would pause before it starts them again, each time for longer."""
        ended = [pod for pod in self.pods("generator") if pod["status"]["containerStatuses"][0]["restartCount"] > 0]
        if ended:
            self.kubectl("delete", "pod", *(pod["metadata"]["name"] for pod in ended), "--timeout=60s")
            self.wait_until_calm()

    def pods(self, role: str) -> list[Manifest]:
        return [pod for pod in pods(self.kubectl, self.name, role) if "deletionTimestamp" not in pod["metadata"]]

    def learners(self) -> list[Manifest]:
        """Of the current attempt, in order."""
        attempt = str(self.state().attempt)
        return [pod for pod in self.pods("learner") if pod["metadata"]["labels"]["grpo.dev/attempt"] == attempt]

    def has_event(self, reason: str, since_s: float) -> bool:
        """The run has told it since, which may take a moment."""

        def look() -> bool:
            told = [event for event in events_of(self.kubectl, self.name) if event["reason"] == reason]
            return any(_seconds(event["eventTime"]) >= since_s for event in told)

        try:
            return wait_through_outages(f"Event {reason}", look, 30)
        except TimeoutError:
            return False

    def log(self, since_s: float = 0.0) -> list[Line]:
        """Of learner 0, if it is there."""
        return [line for pod in self.learners()[:1] for line in log_lines(self.kubectl, pod) if line.time >= since_s]

    def wait_for_line(self, what: str, pattern: str, since_s: float, timeout_s: float) -> Line:
        """In the log of learner 0, of whichever attempt is the current one."""

        def look() -> Line | None:
            return next((line for line in self.log(since_s) if re.search(pattern, line.text)), None)

        return wait_through_outages(what, look, timeout_s, interval_s=0.2)


def log_lines(kubectl: Kubectl, pod: Manifest) -> list[Line]:
    raw = kubectl("logs", pod["metadata"]["name"], "--tail=-1", "--timestamps")
    stamped = map(STAMPED.match, raw.splitlines())  # a line of a progress bar is many, of which one has a time
    return [Line(_seconds(found[1]), readable(found[2])) for found in stamped if found]


def processes(pod: Manifest) -> list[int]:
    """Of its containers, without the one that holds its network."""
    return [pid for pid in processes_of_pod(pod["metadata"]["uid"]) if not command_of(pid)[0].endswith("pause")]


def steps_made(lines: list[Line]) -> list[int]:
    return [int(found[1]) for line in lines if (found := STEP.search(line.text))]


@contextmanager
def arena(name: str, steps: int, moments: random.Random) -> Iterator[Arena]:
    """A run that has begun to train; its namespace goes with it. `moments` says when it is hurt."""
    spec: dict[str, Any] = {
        "learners": {"replicas": 2, "podTemplate": {"spec": {"topologySpreadConstraints": [APART]}}},
        "generators": {"replicas": GENERATORS},
        "checkpoint": {"everySteps": EVERY_STEPS, "keep": 3},
        "deadlines": DEADLINES,
        "rewards": {"timeoutSeconds": DEADLINES["scoringSeconds"]},
        "maxRestarts": 1000,
    }
    with ground() as (cluster, kubectl):
        kubectl.apply(small_run(name, steps, **spec))
        here = Arena(cluster, kubectl, name, moments)
        wait_for("a run that is known", lambda: "status" in here.run(), 60)
        here.wait_until_calm()
        yield here


@contextmanager
def ground() -> Iterator[tuple[Kubectl, Kubectl]]:
    """The local cluster with the operator and the alerts, and on it a namespace with the demo's volume, which goes in the end."""
    start_local_cluster()
    load_trainer_image()
    cluster = local_cluster()
    load_alert_rules(cluster)
    kubectl = create_namespace(cluster, NAMESPACE)
    try:
        prepare_volume(kubectl, on_local_cluster)
        load_operator_image()
        install_operator(cluster, *local_settings())
        wait_for_volume(kubectl)
        yield cluster, kubectl
    finally:
        cluster("delete", "namespace", NAMESPACE, "--timeout=180s")


def _is_calm(state: State) -> bool:
    return state.is_training and state.in_sync == GENERATORS


def _seconds(stamp: str) -> float:
    """RFC 3339 with nanoseconds."""
    whole, _, fraction = stamp.rstrip("Z").partition(".")
    return datetime.fromisoformat(whole).replace(tzinfo=UTC).timestamp() + float(f"0.{fraction or 0}")
