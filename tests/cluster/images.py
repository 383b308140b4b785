"""Container images without a registry or a Docker daemon: a docker-archive of one layer is a few lines of tar.

Every image is tagged :1, never :latest, so that the default imagePullPolicy asks no registry.
"""

import hashlib
import io
import json
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from cluster.processes import run

# A path in the image -> its bytes, a file to copy (Path), the target of a link (str), or, for "folder/", nothing.
Files = Mapping[str, bytes | Path | str | None]

BASE: Files = {"etc/passwd": b"root:x:0:0::/:/bin/sh\nnonroot:x:65532:65532::/tmp:/bin/sh\n", "tmp/": None}
EVERYWHERE = ("pause", "coredns", "busybox", "prometheus")  # what `up` puts on each node beside host-python


def reference(name: str) -> str:
    return f"grpo.test/{name}:1"


def write_basic_images(binaries: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("pause", "coredns"):
        write_image(folder, name, {name: binaries / name}, entrypoint=[f"/{name}"])
    write_image(folder, "prometheus", {**BASE, "prometheus": binaries / "prometheus"}, entrypoint=["/prometheus"])
    applets: Files = {f"bin/{name}": "busybox" for name in run("/bin/busybox", "--list").split()}
    write_image(folder, "busybox", {**BASE, **applets, "bin/busybox": Path("/bin/busybox")})


def write_image(folder: Path, name: str, files: Files, entrypoint: Iterable[str] = (), path: str = "/bin") -> Path:
    """Write FOLDER/NAME.tar, the same bytes for the same files; `path` is the image's PATH."""
    layer = _layer(files)
    digest = hashlib.sha256(layer).hexdigest()
    config = {
        "architecture": "amd64",
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
        "config": {"Entrypoint": list(entrypoint), "Env": [f"PATH={path}"]},
    }
    manifest = [{"Config": "config.json", "RepoTags": [reference(name)], "Layers": ["layer.tar"]}]
    members = {
        "layer.tar": layer,
        "config.json": json.dumps(config).encode(),
        "manifest.json": json.dumps(manifest).encode(),
    }
    archive = folder / f"{name}.tar"
    with tarfile.open(archive, "w") as tar:
        for member, data in members.items():
            _add(tar, tarfile.TarInfo(member), data)
    return archive


def _layer(files: Files) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for file, content in files.items():
            entry = tarfile.TarInfo(file.rstrip("/"))
            entry.mode = 0o1777 if file == "tmp/" else 0o755
            if content is None:
                entry.type = tarfile.DIRTYPE
                tar.addfile(entry)
            elif isinstance(content, str):
                entry.type, entry.linkname = tarfile.SYMTYPE, content
                tar.addfile(entry)
            else:
                _add(tar, entry, content.read_bytes() if isinstance(content, Path) else content)
    return buffer.getvalue()


def _add(tar: tarfile.TarFile, entry: tarfile.TarInfo, data: bytes) -> None:
    entry.size = len(data)
    tar.addfile(entry, io.BytesIO(data))
