"""To the volume, past the page cache: what a lost node takes along was never written for whoever comes after it."""

import errno
import os
from pathlib import Path


def flush(folder: Path) -> None:
    """Write through to the volume: what says that it is whole must not outlive a lost node's page cache."""
    for path in (folder, *folder.rglob("*")):
        if path.is_file() or path.is_dir():
            flush_one(path)


def flush_one(path: Path) -> None:
    """A file's content, or a folder's names."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL or not path.is_dir():  # some file systems cannot do that to a folder
            raise
    finally:
        os.close(descriptor)


def put_in_place(partial: Path, folder: Path) -> None:
    """A folder that is whole or absent."""
    flush(partial)
    partial.rename(folder)
    flush_one(folder.parent)
