"""A run's whole life, told once: it starts, loses an attempt, is suspended, goes on with fewer learners, and succeeds. What is left of it in the end does
not depend on what happens to the operator meanwhile."""

import json
import re
from typing import Any

from grpo_contract.failure import Failure
from grpo_contract.progress import Progress, Stage, Steps
from harness.kubectl import Kubectl, Manifest, condition
from harness.runs import MADE_BY_OPERATOR, children, phase, pods
from harness.waiting import wait_for
from simulated.runs import change, end_pod, run_manifest, volume

LONG_S = 480.0
"""For a step of it, under an operator that is killed or not answered all the time."""
FAILURE = Failure(reason="GeneratorsLost", message="No generator answered for 1800 s.")
REPORT = Progress(attempt=3, stage=Stage.FINISHED, progress=Steps(step=20, max_steps=20), model="/volume/model")

_TIMES = frozenset({"time", "startedAt", "finishedAt", "lastTransitionTime", "firstReadyAt", "inactiveSeconds"})
_CHOSEN = frozenset({"clusterIP", "clusterIPs", "volumeName", "resourceVersion", "creationTimestamp", "generation"})
"""By the cluster."""
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_POD = re.compile(r"(RUN-learner-\d-\d)-\w{5}")


def live(kubectl: Kubectl, name: str) -> None:
    """From its creation until it has succeeded and no pod of it is left but those of its last attempt."""
    assert kubectl.namespace is not None
    kubectl.apply(volume(f"{name}-volume", kubectl.namespace), run_manifest(name))
    wait_for(f"attempt 1 of {name}", lambda: _is_ready(kubectl, name, 1), LONG_S, 0.2)
    end_pod(kubectl, pods(kubectl, name, "learner")[1], 1, FAILURE.model_dump_json())
    wait_for(f"attempt 2 of {name}", lambda: _is_ready(kubectl, name, 2), LONG_S, 0.2)
    change(kubectl, name, suspend=True)
    wait_for(f"suspension of {name}", lambda: phase(kubectl.get("grporun", name)) == "Suspended", LONG_S, 0.2)
    change(kubectl, name, learners={"replicas": 1})
    change(kubectl, name, suspend=False)
    wait_for(f"attempt 3 of {name}", lambda: _is_ready(kubectl, name, 3), LONG_S, 0.2)
    for learner in pods(kubectl, name, "learner"):
        end_pod(kubectl, learner, 0, REPORT.to_json(), "Completed")
    wait_for(f"the end of {name}", lambda: _is_cleared(kubectl, name), LONG_S, 0.2)


def go(kubectl: Kubectl, name: str) -> None:
    """What has ended is removed, by the operator, when its time is over."""
    change(kubectl, name, ttlSecondsAfterFinished=1)
    wait_for(f"the removal of {name}", lambda: kubectl.find("grporun", name) is None, LONG_S, 0.2)


def remains(kubectl: Kubectl, name: str) -> dict[str, Any]:
    """All that was made for the run and is there, and what is said of it; without names, uids and times of this run."""
    run = kubectl.get("grporun", name)
    uid = run["metadata"]["uid"]
    made = children(kubectl, name, MADE_BY_OPERATOR).items()
    found = {ref: _asked_for(child) for ref, child in made} | {"status": run["status"]}
    text = _UUID.sub("UUID", json.dumps(found).replace(name, "RUN")).replace(uid[:8], "UID")
    plain: dict[str, Any] = _without(json.loads(_POD.sub(r"\1", text)), _TIMES | _CHOSEN)
    return plain


def _asked_for(child: Manifest) -> Manifest:
    """What the operator wrote of it."""
    content = {field: value for field, value in child.items() if field in ("spec", "data")}
    if child["kind"] == "Secret":
        content = {"data": sorted(child["data"])}
    metadata = child["metadata"]
    return content | {"labels": metadata["labels"], "owners": metadata["ownerReferences"]}


def _without(value: Any, keys: frozenset[str]) -> Any:
    if isinstance(value, dict):
        return {key: _without(entry, keys) for key, entry in value.items() if key not in keys}
    return [_without(entry, keys) for entry in value] if isinstance(value, list) else value


def _is_ready(kubectl: Kubectl, name: str, attempt: int) -> bool:
    run = kubectl.get("grporun", name)
    ready = [condition(run, kind) for kind in ("Accepted", "LearnersReady", "GeneratorsReady")]
    is_ready = all(entry and entry["status"] == "True" for entry in ready)
    wanted = run["spec"]["learners"]["replicas"]
    return is_ready and run["status"]["attempt"] == attempt and len(pods(kubectl, name, "learner")) == wanted


def _is_cleared(kubectl: Kubectl, name: str) -> bool:
    made = children(kubectl, name, "deployment,job")
    return phase(kubectl.get("grporun", name)) == "Succeeded" and set(made) == {f"Job/{name}-learner-3"}
