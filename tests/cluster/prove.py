"""Shows, on the cluster that runs, each ability that tests may build on: one line and its seconds per ability.

Fails at the first that does not work. Everything lives in namespace `proof` and goes with it.
"""

import time
from collections.abc import Callable, Sequence

from cluster.abilities import platform, services, workloads
from cluster.abilities.proof import NAMESPACE, attempt, kubectl
from cluster.waiting import ClusterError

USUAL: tuple[Callable[[], None], ...] = (
    workloads.nodes_on_both,
    workloads.service_and_dns,
    workloads.logs_and_exec,
    workloads.indexed_job,
    workloads.restricted_pod,
    workloads.memory_limit,
    workloads.killed_from_outside,
    platform.fake_gpus,
    platform.host_python,
    platform.network_policy,
    platform.custom_resource,
    platform.helm_release,
    services.shared_volume,
    services.single_node_volume,
    services.prometheus,
)
# Minutes, or a cluster that others had better not use meanwhile: only when named.
ON_REQUEST: tuple[Callable[[], None], ...] = (platform.node_loss, platform.simulated_nodes)


def prove(names: Sequence[str]) -> None:
    known = {ability.__name__: ability for ability in (*USUAL, *ON_REQUEST)}
    if unknown := [name for name in names if name not in known]:
        raise ClusterError(f"no ability {', '.join(unknown)}; there are {', '.join(known)}")
    attempt("delete", "namespace", NAMESPACE, "--ignore-not-found", "--timeout=90s")  # left by a proof that failed
    kubectl("create", "namespace", NAMESPACE)
    for ability in [known[name] for name in names] or USUAL:
        start = time.monotonic()
        ability()
        print(f"{time.monotonic() - start:6.1f} s  {ability.__name__}: {ability.__doc__}", flush=True)
    kubectl("delete", "namespace", NAMESPACE, "--timeout=90s")
