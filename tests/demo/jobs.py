"""The demo's Jobs: waiting for the end of one, and in one sentence why that does not come."""

from demo.errors import DemoError
from harness.kubectl import Kubectl, Manifest
from harness.outages import wait_through_outages

JOB_DEADLINE_S = 900

IMAGE_REASONS = {"ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"}
CONFIG_REASONS = {"CreateContainerConfigError"}
"""For which a container of a pod waits without end. Others pass: a node that is busy fails to create one at first."""

REMEDY = (
    "its image is trainer.cpuImage of the operator's chart: build it with `docker build --target trainer-cpu` and push "
    "it; pull secrets and all else come from podDefaults.learner, the Secrets from the operator's namespace."
)


def wait_for_job(kubectl: Kubectl, name: str) -> None:
    """
    Raises:
        DemoError: the Job has failed, cannot start, was deleted, or does not end.
    """
    try:
        wait_through_outages(f"the end of Job {name}", lambda: _is_complete(kubectl, name), JOB_DEADLINE_S)
    except TimeoutError:
        waits_for = what_keeps(kubectl.get("job", name), _pods(kubectl, name))
        raise DemoError(f"Job {name} has not ended within {JOB_DEADLINE_S} s: {waits_for}") from None


def _is_complete(kubectl: Kubectl, name: str) -> bool:
    job = kubectl.find("job", name)
    if job is None:
        raise DemoError(f"Job {name} is gone: it was deleted.")
    ends = ends_of(job)
    if "Failed" in ends:
        log = kubectl.attempt("logs", f"job/{name}", "--tail=30").stdout
        raise DemoError(f"Job {name} failed ({ends['Failed']}). The end of its log:\n{log}")
    if trouble := trouble_of(_pods(kubectl, name)):
        raise DemoError(f"Job {name} cannot start: {trouble}; {REMEDY}")
    return "Complete" in ends


def _pods(kubectl: Kubectl, job: str) -> list[Manifest]:
    return kubectl.find_all("pod", f"batch.kubernetes.io/job-name={job}")


def ends_of(job: Manifest) -> dict[str, str]:
    """{type: message} of the conditions that are true."""
    conditions = job.get("status", {}).get("conditions", [])
    return {entry["type"]: entry.get("message", "") for entry in conditions if entry["status"] == "True"}


def trouble_of(pods: list[Manifest]) -> str | None:
    """What keeps a container from starting, however long one waits."""
    for pod in pods:
        for container in pod.get("status", {}).get("containerStatuses", []):
            waiting = container["state"].get("waiting", {})
            said = f"({waiting.get('reason')}: {waiting.get('message', '')})"
            if waiting.get("reason") in IMAGE_REASONS:
                return f"pod {pod['metadata']['name']} cannot get image {container['image']!r} {said}"
            if waiting.get("reason") in CONFIG_REASONS:
                return f"pod {pod['metadata']['name']} cannot be started {said}"
    return None


def what_keeps(job: Manifest, pods: list[Manifest]) -> str:
    """A Job that may still end well, for all that is known."""
    namespace = job["metadata"]["namespace"]
    if not pods:
        see = f"kubectl -n {namespace} describe job {job['metadata']['name']}"
        return f"it has no pod, mostly for a quota or an admission policy; see `{see}`."
    for pod in pods:
        for entry in pod.get("status", {}).get("conditions", []):
            if entry.get("reason") == "Unschedulable":
                said = entry.get("message", "").rstrip(".")
                return (
                    f"pod {pod['metadata']['name']} fits no node ({said}); free a node, or give the cluster a default "
                    "StorageClass with ReadWriteMany if it waits for its volume."
                )
    return f"see `kubectl -n {namespace} describe pod {pods[0]['metadata']['name']}` and its log."
