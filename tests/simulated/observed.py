"""What a test sees of a run and of its operator."""

from harness.kubectl import Kubectl
from harness.runs import children, events_of, versions
from simulated.operator_process import Operator
from simulated.runs import name_of_a_run, start_run

WRITES = ("PATCH", "POST", "DELETE")


def all_versions(kubectl: Kubectl, name: str) -> dict[str, str]:
    """Of the run and of everything that was made for it."""
    return versions(kubectl, name) | {"run": kubectl.get("grporun", name)["metadata"]["resourceVersion"]}


def kept(kubectl: Kubectl, name: str) -> dict[str, str]:
    """Uids of what is no pod and makes none."""
    found = children(kubectl, name, "configmap,secret,pvc,service,networkpolicy")
    return {child: manifest["metadata"]["uid"] for child, manifest in found.items()}


def makers(kubectl: Kubectl, name: str) -> set[str]:
    return set(children(kubectl, name, "deployment,job,pod"))


def wait_for_look(kubectl: Kubectl) -> None:
    """Until the operator has dealt with everything that happened before: it sees a new run through to ready pods."""
    with name_of_a_run(kubectl) as name:
        start_run(kubectl, name)


def events(kubectl: Kubectl, name: str) -> list[tuple[str, str]]:
    """Type and reason."""
    return sorted((event["type"], event["reason"]) for event in events_of(kubectl, name))


def count(operator: Operator, metric: str, *labels: str) -> float:
    lines = (line.rsplit(" ", 1) for line in operator.read("/metrics").splitlines() if line.startswith(metric + "{"))
    return sum(float(value) for series, value in lines if not labels or any(f'"{label}"' in series for label in labels))
