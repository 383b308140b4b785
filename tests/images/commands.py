"""How commands are run here, and the Debian packages that hold them."""

import os
import subprocess
import sys
from functools import partial

from cluster import waiting
from images.layout import STORAGE, TEMPORARY

DEBIAN_PACKAGES = ("buildah", "mmdebstrap", "debian-archive-keyring")

timed = partial(waiting.timed, file=sys.stderr)


def run(*command: object) -> None:
    """Its messages go to standard error: standard output is for results."""
    parts = [str(part) for part in command]
    subprocess.run(parts, check=True, stdin=subprocess.DEVNULL, stdout=sys.stderr, env=_environment())


def output(*command: object) -> str:
    parts = [str(part) for part in command]
    return subprocess.run(parts, check=True, stdout=subprocess.PIPE, text=True, env=_environment()).stdout.strip()


def _environment() -> dict[str, str]:
    """buildah keeps its caches (pip's downloads are gigabytes) and what it packs in the temporary folder."""
    TEMPORARY.mkdir(parents=True, exist_ok=True)
    return os.environ | {"TMPDIR": str(TEMPORARY), "DEBIAN_FRONTEND": "noninteractive"}


def buildah(*arguments: object) -> list[object]:
    """With storage of our own, so that nothing else on the machine is touched or needed."""
    places = ["--root", STORAGE / "root", "--runroot", STORAGE / "run", "--storage-driver", "overlay"]
    return ["buildah", *places, *arguments]


def install_debian_packages() -> None:
    query = ["dpkg-query", "--show", "--showformat=${binary:Package} ${db:Status-Status}\n", *DEBIAN_PACKAGES]
    # It fails when it does not know one of the names, which is one of the answers we ask for.
    known = subprocess.run(query, check=False, capture_output=True, text=True).stdout.splitlines()
    installed = {line.split()[0].split(":")[0] for line in known if line.endswith(" installed")}
    if missing := [package for package in DEBIAN_PACKAGES if package not in installed]:
        with timed(f"apt-get install {' '.join(missing)}"):
            run("apt-get", "update")
            run("apt-get", "install", "-y", "--no-install-recommends", *missing)
