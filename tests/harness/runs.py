"""Looking at runs on a cluster: phase, step, conditions, children, failure."""

import json
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

from grpo_contract.log_entry import readable
from harness.kubectl import ENDED, Kubectl, Manifest, condition
from harness.outages import wait_through_outages

T = TypeVar("T")

RESUMED = re.compile(r"resuming from the checkpoint of step (\d+)")
"""What the log of an attempt says that goes on from one."""

MADE_BY_OPERATOR = "configmap,secret,pvc,service,networkpolicy,deployment,job"
ALL_KINDS = MADE_BY_OPERATOR + ",pod,endpointslice"
SOON_S = 60.0
NAMED_S = 30.0
"""Within which trouble of the infrastructure is named, once it is visible."""


class RunEndedError(Exception):
    """A run ended before what was waited for; the message holds its status."""

    def __init__(self, name: str, run: Manifest, wanted: str) -> None:
        super().__init__(f"{name} is {phase(run)} at step {step(run)} and not {wanted}: {run['status']}")


def phase(run: Manifest) -> str:
    return str(run.get("status", {}).get("phase", "Pending"))


def step(run: Manifest) -> int:
    return int(run.get("status", {}).get("progress", {}).get("step", 0))


def wait_for_run(
    kubectl: Kubectl, name: str, wanted: str, find: Callable[[Manifest], T | None], timeout_s: float = SOON_S
) -> T:
    """The first truthy thing that `find` finds in the run; `wanted` says what that is.

    Raises:
        RunEndedError: it has ended without that.
    """

    def look() -> T | None:
        run = kubectl.get("grporun", name)
        found = find(run)
        if not found and phase(run) in ENDED:
            raise RunEndedError(name, run, wanted)
        return found

    return wait_through_outages(f"{name}: {wanted}", look, timeout_s, interval_s=0.2)


def wait_for_phase(kubectl: Kubectl, name: str, wanted: str, timeout_s: float = SOON_S) -> Manifest:
    return wait_for_run(kubectl, name, wanted, lambda run: run if phase(run) == wanted else None, timeout_s)


def wait_for_step(kubectl: Kubectl, name: str, wanted: int, timeout_s: float = 300) -> Manifest:
    return wait_for_run(kubectl, name, f"at step {wanted}", lambda run: run if step(run) >= wanted else None, timeout_s)


def wait_for_condition(kubectl: Kubectl, name: str, kind: str, reason: str, timeout_s: float = SOON_S) -> Manifest:
    """The condition once it has this reason."""

    def of_reason(run: Manifest) -> Manifest | None:
        found = condition(run, kind)
        return found if found and found["reason"] == reason else None

    return wait_for_run(kubectl, name, f"{kind} with reason {reason}", of_reason, timeout_s)


def wait_until_all_ready(kubectl: Kubectl, name: str, timeout_s: float = SOON_S) -> None:
    for kind in ("LearnersReady", "GeneratorsReady"):
        wait_for_condition(kubectl, name, kind, "AllReady", timeout_s)


def pods(kubectl: Kubectl, run: str, role: str) -> list[Manifest]:
    found = kubectl.find_all("pod", f"grpo.dev/run={run},grpo.dev/role={role}")
    return sorted(found, key=lambda pod: str(pod["metadata"]["name"]))


HOLDS = "grpo.dev/test-holds"


def hold(kubectl: Kubectl, pod: Manifest) -> None:
    """Once it is deleted it takes its time, until it is released."""
    _set_finalizers(kubectl, pod["metadata"]["name"], lambda found: [*found, HOLDS])


def release(kubectl: Kubectl, pod: Manifest) -> None:
    _set_finalizers(kubectl, pod["metadata"]["name"], lambda found: [each for each in found if each != HOLDS])


def _set_finalizers(kubectl: Kubectl, pod: str, change: Callable[[list[str]], list[str]]) -> None:
    finalizers = change(kubectl.get("pod", pod)["metadata"].get("finalizers", []))
    kubectl("patch", "pod", pod, "--type=merge", "--patch", json.dumps({"metadata": {"finalizers": finalizers}}))


def children(kubectl: Kubectl, run: str, kinds: str = MADE_BY_OPERATOR) -> dict[str, Manifest]:
    found = kubectl.find_all(kinds, f"grpo.dev/run={run}")
    return {f"{child['kind']}/{child['metadata']['name']}": child for child in found}


def versions(kubectl: Kubectl, run: str) -> dict[str, str]:
    """Of what was made for the run."""
    return {name: child["metadata"]["resourceVersion"] for name, child in children(kubectl, run).items()}


def events_of(kubectl: Kubectl, run: str) -> list[Manifest]:
    found = kubectl.find_all("events.events.k8s.io")
    about = {"kind": "GRPORun", "name": run}
    return [event for event in found if event["regarding"].items() >= about.items()]


def warnings_of(kubectl: Kubectl, run: str) -> list[tuple[str, str]]:
    """Reason and note of each such Event."""
    return [(event["reason"], event["note"]) for event in events_of(kubectl, run) if event["type"] == "Warning"]


def owners_of(kubectl: Kubectl, run: str) -> set[str]:
    """Uids of whose the children are that carry the run's name."""
    found = children(kubectl, run).values()
    return {owner["uid"] for child in found for owner in child["metadata"]["ownerReferences"]}


def seconds_between(earlier: str, later: str) -> float:
    """Of two times in a status."""
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()


def log_of(kubectl: Kubectl, pod: Manifest) -> str:
    """As people read it."""
    return "\n".join(map(readable, kubectl("logs", pod["metadata"]["name"], "--tail=-1").split("\n")))


def last_words(pod: Manifest) -> dict[str, Any]:
    terminated: dict[str, Any] = pod["status"]["containerStatuses"][0]["state"]["terminated"]
    return terminated
