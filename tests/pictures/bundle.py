"""The page that draws panels, made once for each state of `grafana` into a folder of the cache that is named after that state."""

import shutil
import subprocess
from pathlib import Path
from typing import Final

from cluster.layout import HOME
from cluster.lock import alone
from cluster.waiting import timed
from images.content import content_key

SOURCES: Final = Path(__file__).with_name("grafana")
CACHE: Final = HOME / "pictures"
LOCK: Final = CACHE / "lock"
BUILT: Final = "built"
"""What `npm run bundle` makes. The libraries, of which it takes a hundredth, go again."""


def sources() -> list[Path]:
    return sorted(path for path in SOURCES.iterdir() if path.is_file())


def current_bundle() -> Path:
    """Where that of this checkout's sources is, or will be."""
    return CACHE / content_key(SOURCES, sources())


def bundle() -> Path:
    wanted = current_bundle()
    with alone(LOCK):
        if not wanted.exists():
            _make(wanted)
    return wanted


def _make(wanted: Path) -> None:
    work = wanted.with_suffix(".partial")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    for source in sources():
        shutil.copy(source, work)
    for command in (["npm", "ci"], ["npm", "run", "--silent", "bundle"]):
        with timed(" ".join(command)):
            subprocess.run(command, cwd=work, check=True, stdin=subprocess.DEVNULL)
    (work / BUILT).rename(wanted)
    shutil.rmtree(work)
