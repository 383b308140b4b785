"""RuntimeClass `host-python`: containers that see this machine's Python and the project's environments, read-only.

So a pod runs an environment of 6 GB without an image of 6 GB, as any user and with a read-only root.
"""

import json
import sys
from pathlib import Path

from cluster.images import BASE, Files, write_image
from cluster.layout import ENVIRONMENTS, Manifest
from cluster.processes import run
from cluster.waiting import ClusterError


def write_environment_image(folder: Path, environment: Path) -> Path:
    """Named after the environment: empty directories, which the runtime mounts over; PATH finds the environment first."""
    if environment.parent != ENVIRONMENTS:
        raise ClusterError(f"{environment}: pods see only what is in {ENVIRONMENTS}")
    links: Files = {name: f"usr/{name}" for name in ("bin", "sbin", "lib", "lib64")}
    path = f"{environment}/bin:{sys.base_prefix}/bin:/usr/local/bin:/usr/bin"
    return write_image(folder, environment.name, {**BASE, **links, "usr/": None}, path=path)


def host_python_spec() -> Manifest:
    """containerd's default container with the mounts added; `up` gives it to containerd as the base of the runtime."""
    spec: Manifest = json.loads(run("ctr", "oci", "spec"))
    spec["mounts"] += [_read_only(folder) for folder in visible_folders()]
    return spec


def visible_folders() -> list[str]:
    """/usr with what its programs read in /etc, this interpreter, and all environments, those made later as well."""
    ENVIRONMENTS.mkdir(parents=True, exist_ok=True)
    folders = {"/usr", "/etc/ssl", "/etc/alternatives", "/etc/ld.so.cache", sys.base_prefix, str(ENVIRONMENTS)}
    return sorted(folder for folder in folders if not folder.startswith("/usr/"))


def _read_only(folder: str) -> Manifest:
    return {"destination": folder, "source": folder, "type": "bind", "options": ["rbind", "ro"]}
