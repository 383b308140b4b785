"""The kinds of objects that the operator watches or writes, and where the API server keeps them. Names only."""

from dataclasses import dataclass
from typing import Final

from grpo_contract.labels import API_GROUP, ROLE_LABEL, RUN_LABEL, Role
from grpo_operator.api.run import KIND, PLURAL, VERSION


@dataclass(frozen=True)
class Resource:
    kind: str
    group: str
    """Empty for the core group."""
    version: str
    plural: str

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None, name: str | None = None, subresource: str | None = None) -> str:
        root = f"/apis/{self.group}" if self.group else "/api"
        where = f"namespaces/{namespace}" if namespace else None
        return "/".join(part for part in (root, self.version, where, self.plural, name, subresource) if part)


GRPORUN: Final = Resource(KIND, API_GROUP, VERSION, PLURAL)
CONFIG_MAP: Final = Resource("ConfigMap", "", "v1", "configmaps")
SECRET: Final = Resource("Secret", "", "v1", "secrets")
CLAIM: Final = Resource("PersistentVolumeClaim", "", "v1", "persistentvolumeclaims")
SERVICE: Final = Resource("Service", "", "v1", "services")
NETWORK_POLICY: Final = Resource("NetworkPolicy", "networking.k8s.io", "v1", "networkpolicies")
DEPLOYMENT: Final = Resource("Deployment", "apps", "v1", "deployments")
JOB: Final = Resource("Job", "batch", "v1", "jobs")
POD: Final = Resource("Pod", "", "v1", "pods")
EVENT: Final = Resource("Event", "events.k8s.io", "v1", "events")
LEASE: Final = Resource("Lease", "coordination.k8s.io", "v1", "leases")

APPLIED: Final = (CONFIG_MAP, SERVICE, NETWORK_POLICY, DEPLOYMENT)
"""Children written by server-side apply, as often as it takes."""

CREATED: Final = (SECRET, CLAIM, JOB)
"""Children created once."""

CHILDREN: Final = (*APPLIED, *CREATED, POD)
"""All that is watched by the label of its run. Pods are made by the cluster, never by us."""

BY_KIND: Final = {resource.kind: resource for resource in (GRPORUN, *CHILDREN, EVENT, LEASE)}


def watch_selector(resource: Resource) -> str | None:
    """What the API server picks by what we are told of: else it would send us every Secret of the cluster."""
    if resource is GRPORUN:
        return None
    if resource is POD:
        return f"{RUN_LABEL},{ROLE_LABEL} in ({', '.join(Role)})"
    return RUN_LABEL
