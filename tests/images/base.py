"""The base image where no registry can be asked: a minimal Debian made from packages, under its usual name."""

import hashlib
from pathlib import Path

from images.commands import buildah, output, run, timed
from images.layout import CACHE

BASE_IMAGE = "docker.io/library/debian:12-slim"
SUITE = "bookworm"
# The base that others pull has no certificates: there, pip's package brings them. Here they must be present already,
# because the machine's own are mounted over their folder while an image is built.
PACKAGES = ("ca-certificates", "usr-is-merged")
# The machine's resolver and name are no part of an image; documentation is as absent as in the slim image.
CUSTOMIZE = 'rm -f "$1"/etc/resolv.conf "$1"/etc/hostname && rm -rf "$1"/usr/share/doc/* "$1"/usr/share/man/*'


def base_command(target: Path) -> list[object]:
    return [
        "mmdebstrap",
        "--variant=minbase",
        "--mode=root",
        "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr",
        f"--include={','.join(PACKAGES)}",
        f"--customize-hook={CUSTOMIZE}",
        SUITE,
        target,
    ]


def base_archive() -> Path:
    recipe = " ".join(map(str, base_command(Path("base.tar"))))
    return CACHE / f"base-{hashlib.sha256(recipe.encode()).hexdigest()[:16]}.tar"


def ensure_base() -> None:
    """The base image in buildah's storage, made now if it is not there."""
    archive = base_archive()
    if not archive.exists():
        partial = archive.with_suffix(".partial.tar")  # mmdebstrap knows what to write by the end of the name
        with timed("mmdebstrap"):
            run(*base_command(partial))
        partial.rename(archive)
    elif output(*buildah("images", "--quiet", "--filter", f"reference={BASE_IMAGE}")):
        return
    container = output(*buildah("from", "scratch"))
    run(*buildah("add", container, archive, "/"))
    run(*buildah("config", "--cmd", "bash", container))
    run(*buildah("commit", "--rm", container, BASE_IMAGE))
