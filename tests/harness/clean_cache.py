"""Removes from the cache what this checkout's sources do not use: `python -m harness.clean_cache ENVIRONMENT...`.

The environments to keep are named by the Makefile, which alone knows them. What the local cluster that runs was made
of or was given stays too, whichever checkout it is from. Standard library only, so that a bare Python runs it.
"""

import shutil
import sys
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from cluster import layout
from cluster.build import current_build
from cluster.lifecycle import running_build
from cluster.lock import alone
from images import layout as of_images
from images.base import base_archive
from images.build import TARGETS, archive_of, default_tag
from images.commands import buildah, run
from pictures import bundle as of_pictures

GIGABYTE = 1e9
GOING = ".removed"
"""Ends the name of a folder that is being removed: interrupted, half of one must not pass for a whole one."""


def main() -> None:
    environments = {Path(argument) for argument in sys.argv[1:]}
    places = {path.parent for path in environments}
    assert all(place.parent == layout.HOME for place in places), f"{places} are not in {layout.HOME}"
    with alone():  # the running cluster must not change meanwhile
        freed = sum(remove_others(place, environments | _environments_of_cluster()) for place in sorted(places))
        freed += remove_others(layout.CACHE, _of_cluster())
    with alone(of_images.LOCK):
        freed += remove_others(of_images.CACHE, _of_images()) + _prune_layers()
    with alone(of_pictures.LOCK):
        freed += remove_others(of_pictures.CACHE, {of_pictures.LOCK, of_pictures.current_bundle()})
    print(f"{freed / GIGABYTE:.1f} GB removed from {layout.HOME}")


def remove_others(folder: Path, kept: Collection[Path]) -> int:
    """Remove all in `folder` but these paths, say so, and return the number of bytes."""
    freed = 0
    for path in _in_order(folder.iterdir() if folder.is_dir() else ()):
        if path not in kept:
            size = size_of(path)
            _remove(path)
            print(f"removed {path} ({size / GIGABYTE:.1f} GB)")
            freed += size
    return freed


def _in_order(paths: Iterable[Path]) -> list[Path]:
    """First what an interrupted removal has left, for its name may be wanted again."""
    return sorted(paths, key=lambda path: (path.suffix != GOING, path))


def size_of(path: Path) -> int:
    """As du has it: what it takes on the disk, a file of several names once."""
    files = [path, *(path.rglob("*") if path.is_dir() and not path.is_symlink() else ())]
    found = {(status.st_dev, status.st_ino): status.st_blocks * 512 for status in (file.lstat() for file in files)}
    return sum(found.values())


def _remove(path: Path) -> None:
    if path.is_symlink() or not path.is_dir():
        path.unlink()
        return
    going = path if path.suffix == GOING else path.rename(path.with_name(path.name + GOING))
    shutil.rmtree(going)


def _of_cluster() -> set[Path]:
    current = current_build().folder
    return {layout.LOCK, layout.RUN, running_build().folder, current, current.with_suffix(".partial")}


def _environments_of_cluster() -> set[Path]:
    """What its pods may run, with the libraries below."""
    return set(_with_libraries(layout.ENVIRONMENTS / image.stem for image in layout.RUN.glob("*.tar")))


def _with_libraries(environments: Iterable[Path]) -> Iterator[Path]:
    for environment in environments:
        yield environment
        link = environment / "bin" / "ninja"  # the Makefile makes it
        if link.is_symlink():
            yield link.readlink().parents[1]


def _of_images() -> set[Path]:
    archives = {base_archive(), *(archive_of(target, default_tag(target)) for target in TARGETS)}
    return archives | {of_images.LOCK, of_images.STORAGE, of_images.TEMPORARY, of_images.PIP_CONFIG}


def _prune_layers() -> int:
    """All but those of the newest images. Stages that an image was only copied from have no name, and go: what is built
    after a change of the sources installs its packages anew."""
    if not of_images.STORAGE.exists():
        return 0
    before = size_of(of_images.STORAGE)
    run(*buildah("rm", "--all"))  # what a build that was interrupted has left
    run(*buildah("rmi", "--prune", "--force"))
    freed = before - size_of(of_images.STORAGE)
    print(f"removed layers of no image in {of_images.STORAGE} ({freed / GIGABYTE:.1f} GB)")
    return freed


if __name__ == "__main__":
    main()
