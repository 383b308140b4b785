"""Files of others, as a pod finds them that does not run as root."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

POD_USER = 65532


@contextlib.contextmanager
def folder_for_everybody() -> Iterator[Path]:
    """pytest's own folders are closed to other users."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@contextlib.contextmanager
def as_pod_user() -> Iterator[int]:
    """The user that files are opened as. Root can open every file; whoever else runs the tests is no root already."""
    before = os.geteuid()
    if before != 0:
        yield before
        return
    os.seteuid(POD_USER)
    try:
        yield POD_USER
    finally:
        os.seteuid(before)
