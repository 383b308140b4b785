"""Faults that last until an alert names them. Each brings a run of its own in a namespace of its own, so that all may last at
once; what they have changed of the cluster comes back when they are over.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from threading import Event, Lock, Thread
from typing import Any, Final

from chaos.arena import processes
from cluster.cgroups import command_of, kill
from codegen.alert_rules import Severity
from grpo_contract.files import SCRATCH
from grpo_generator.staging import STAGER
from harness.demo_runs import hungry_run, small_run
from harness.installation import OPERATOR_NAMESPACE
from harness.kubectl import Kubectl, Manifest
from harness.namespaces import MakeNamespace
from harness.operator_pod import operator_away
from harness.outages import wait_through_outages
from harness.runs import pods, wait_for_phase, wait_for_run, wait_for_step

START_S: Final = 900.0
"""Until a run trains, while others do on the same cores."""
STEPS: Final = 100_000
WORDS: Final = "on purpose"
GATE: Final = SCRATCH / "gate-is-open"
PACE: Final = f"""
import os, time

def pace(completions, **columns):
    time.sleep(1)
    if os.path.exists("{GATE}"):
        raise RuntimeError("{WORDS}")
    return [0.0] * len(completions)
"""
"""A reward that leaves others some of the cores, and raises once the gate is open."""
NUM_REFUSED: Final = 60
"""Runs whose status the operator may not write: each is tried once a minute in the end, and those that train are looked at every
two seconds."""


@dataclass(frozen=True)
class Ground:
    cluster: Kubectl
    make_namespace: MakeNamespace
    starting: Lock = field(default_factory=Lock)
    """Runs start one after the other: together none of them would soon."""


@dataclass(frozen=True)
class Struck:
    labels: Mapping[str, str] = field(default_factory=dict)
    """Of the alerts that name it."""
    at_s: float = field(default_factory=time.time)
    """Seconds since the epoch."""


Strike = Callable[[Ground], AbstractContextManager[Struck]]


@dataclass(frozen=True)
class LastingFault:
    name: str
    strike: Strike
    alerts: tuple[tuple[str, Severity], ...]
    """The earlier ones first."""
    is_alone: bool = False
    """It takes what the others need."""


@contextmanager
def keep_generators_away(ground: Ground) -> Iterator[Struck]:
    """By a quota that has room for the learner alone."""
    with _training(ground, "deserted") as kubectl:
        kubectl("create", "quota", "one-pod", "--hard=pods=1")
        (generator,) = pods(kubectl, "deserted", "generator")
        struck = _of_run(kubectl, "deserted")
        kubectl("delete", "pod", generator["metadata"]["name"], "--wait=false")
        yield struck


@contextmanager
def keep_weights_away(ground: Ground) -> Iterator[Struck]:
    """Whatever fetches them is killed. The generator itself answers."""
    with _training(ground, "outdated") as kubectl:
        (generator,) = pods(kubectl, "outdated", "generator")
        is_over = Event()
        killing = Thread(target=_kill_stagers, args=(generator, is_over), daemon=True)
        struck = _of_run(kubectl, "outdated")
        killing.start()
        try:
            yield struck
        finally:
            is_over.set()
            killing.join()


def _kill_stagers(generator: Manifest, is_over: Event) -> None:
    while not is_over.wait(0.2):
        with suppress(FileNotFoundError, ProcessLookupError):  # one of the pod's processes has ended meanwhile
            kill([pid for pid in processes(generator) if STAGER in command_of(pid)])


@contextmanager
def refuse_checkpoints(ground: Ground) -> Iterator[Struck]:
    """Nobody may write to their folder, once there is one in it."""
    with _training(ground, "unsaved", checkpoint={"everySteps": 2}) as kubectl:
        saved = wait_for_run(kubectl, "unsaved", "with a checkpoint", _when_saved, START_S)
        struck = _of_run(kubectl, "unsaved")
        _run_in_learner(kubectl, "unsaved", f"import os; os.chmod('{saved['status']['output']}/checkpoints', 0o555)")
        yield struck


def _when_saved(run: Manifest) -> Manifest | None:
    return run if run["status"].get("checkpoint") else None


@contextmanager
def break_rewards(ground: Ground) -> Iterator[Struck]:
    """One of the functions raises at each call."""
    with _training(ground, "unscored", rewards={"maxErrorShare": 1}) as kubectl:
        struck = _of_run(kubectl, "unscored")
        _run_in_learner(kubectl, "unscored", f"open('{GATE}', 'w')")
        yield struck


@contextmanager
def starve_learners(ground: Ground) -> Iterator[Struck]:
    """Each attempt ends for want of memory, as often as the run may be started."""
    kubectl = ground.make_namespace()
    kubectl.apply(hungry_run(max_restarts=3))
    wait_for_phase(kubectl, "hungry", "Failed", START_S)
    yield _of_run(kubectl, "hungry")


@contextmanager
def refuse_statuses(ground: Ground) -> Iterator[Struck]:
    """An admission policy refuses what the operator writes of some runs, which hold no pods."""
    kubectl, name = ground.make_namespace(), "refused-statuses"
    kubectl.apply(small_run("first", suspend=True))
    wait_for_phase(kubectl, "first", "Suspended")
    ground.cluster.apply(*_refusal(name, str(kubectl.namespace)))
    try:
        patch = ("patch", "grporun", "first", "--subresource=status", "--type=merge", "--dry-run=server")
        change = '--patch={"status": {"attempt": 2}}'
        wait_through_outages("a refusal", lambda: WORDS in kubectl.attempt(*patch, change).stderr, 60)
        struck = Struck({"namespace": OPERATOR_NAMESPACE})
        kubectl.apply(*(small_run(f"refused-{number}", suspend=True) for number in range(NUM_REFUSED)))
        yield struck
    finally:
        ground.cluster("delete", "validatingadmissionpolicybindings,validatingadmissionpolicies", name)


def _refusal(name: str, namespace: str) -> list[Manifest]:
    api = "admissionregistration.k8s.io/v1"
    statuses = {
        "apiGroups": ["grpo.dev"],
        "apiVersions": ["*"],
        "operations": ["UPDATE"],
        "resources": ["grporuns/status"],
    }
    policy = {
        "matchConstraints": {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
            "resourceRules": [statuses],
        },
        "validations": [{"expression": "false", "message": WORDS}],
    }
    binding = {"policyName": name, "validationActions": ["Deny"]}
    return [
        {"apiVersion": api, "kind": kind, "metadata": {"name": name}, "spec": spec}
        for kind, spec in (("ValidatingAdmissionPolicy", policy), ("ValidatingAdmissionPolicyBinding", binding))
    ]


@contextmanager
def end_operator(ground: Ground) -> Iterator[Struck]:
    struck = Struck()
    with operator_away(ground.cluster):
        yield struck


LASTING_FAULTS: Final = (
    LastingFault(
        "no generator comes back",
        keep_generators_away,
        (("GRPOGeneratorsLost", Severity.CRITICAL), ("GRPOGeneratorsLost", Severity.WARNING)),
    ),
    LastingFault("statuses refused", refuse_statuses, (("GRPOOperatorErrors", Severity.WARNING),)),
    LastingFault("weights do not reach a generator", keep_weights_away, (("GRPOWeightsOutOfSync", Severity.WARNING),)),
    LastingFault(
        "checkpoints cannot be written",
        refuse_checkpoints,
        (("GRPOCheckpointUnhealthy", Severity.WARNING), ("GRPOCheckpointTooOld", Severity.WARNING)),
    ),
    LastingFault("a reward function raises", break_rewards, (("GRPORewardErrors", Severity.WARNING),)),
    LastingFault(
        "learners out of memory at each attempt",
        starve_learners,
        (("GRPORestartsLooping", Severity.CRITICAL), ("GRPORunFailed", Severity.CRITICAL)),
    ),
    LastingFault("no operator", end_operator, (("GRPOOperatorDown", Severity.CRITICAL),), is_alone=True),
)
"""The longest first."""


@contextmanager
def _training(ground: Ground, name: str, **changes: Any) -> Iterator[Kubectl]:
    """The namespace of a run with such a spec that makes steps. It goes with the block: others need the cores."""
    kubectl = ground.make_namespace()
    code = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "pace"}, "data": {"pace.py": PACE}}
    rewards = {"from": [{"configMap": {"name": "pace"}}], **changes.pop("rewards", {})}
    recipe = {"reward_funcs": ["accuracy", "format", "tag_count", "pace:pace"]}
    try:
        with ground.starting:
            kubectl.apply(code, small_run(name, STEPS, recipe=recipe, rewards=rewards, **changes))
            wait_for_step(kubectl, name, 1, START_S)
        yield kubectl
    finally:
        kubectl("delete", "grporun", name, "--ignore-not-found", "--wait=false")


def _of_run(kubectl: Kubectl, name: str) -> Struck:
    return Struck({"namespace": str(kubectl.namespace), "run": name})


def _run_in_learner(kubectl: Kubectl, run: str, code: str) -> None:
    (learner,) = pods(kubectl, run, "learner")
    kubectl("exec", learner["metadata"]["name"], "--", "python", "-c", code)
