"""What a recipe calls a model or a data set: a path in the pod or an id on the hub."""

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from grpo_contract.failure import UserError

FILE_FORMATS: Final = {".jsonl": "json", ".json": "json", ".parquet": "parquet"}
"""{suffix of a data set that is one file: the reader of `datasets` for it}. Such a file has one split."""
ONLY_SPLIT: Final = "train"

RELATIVE: Final = "^([.~]|[^/:]+/[^/]*/)"
"""What is neither a path in a pod nor an id on the hub, which has one slash at most."""


def is_path(name: str) -> bool:
    """Names that begin with a slash or a dot are paths; everything else is an id on the hub."""
    return name.startswith(("/", "."))


def siblings(path: Path) -> str:
    """What lies where a missing path should be, for the sentence that says so."""
    folder = path.parent
    return f"{folder} holds {listing(folder)}" if folder.is_dir() else f"nor does {folder}"


def listing(folder: Path) -> str:
    names = sorted(entry.name for entry in folder.iterdir())
    return ", ".join(names[:10] + ["..."] * (len(names) > 10)) or "nothing"


@contextlib.contextmanager
def permission_needed(field: str, name: str, reason: str) -> Iterator[None]:
    """Files that somebody put on the volume for themselves alone stay unreadable in every attempt.

    Raises:
        UserError: instead of PermissionError.
    """
    try:
        yield
    except PermissionError as error:
        raise UserError(
            reason,
            f"{field}: {name!r} cannot be read by the pod's user {os.geteuid()}, permission is denied for "
            f"{error.filename}; make it readable for that user, for example with chmod -R a+rX.",
        ) from error


def open_each(files: Iterable[Path]) -> None:
    """Find out now what reading them would say."""
    for file in files:
        if file.is_file():
            file.open("rb").close()
