"""Which errors say that the volume could not be written to, and which of them that it is full: the system's own, and what
libraries make of them."""

import errno
import os
import shutil
from pathlib import Path
from typing import Final

from safetensors import SafetensorError

from grpo_contract.files import VOLUME

NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
TORCH_WRITER: Final = ("inline_container.cc", "iostream error")
"""How torch.save says that a file could not be written, without the system's reason."""
OF_THE_SYSTEM: Final = "(os error "
"""How safetensors quotes the system."""
NEXT_TO_NOTHING: Final = 1 / 1000
"""Of a volume. What is left of it when a file could not be written any further."""


def is_of_volume(cause: BaseException) -> bool:
    """One that a write came to. Connections between ranks have errors of other kinds."""
    if isinstance(cause, OSError):
        return cause.errno is not None and not isinstance(cause, ConnectionError)
    return _is_of_torch_writer(cause) or (isinstance(cause, SafetensorError) and OF_THE_SYSTEM in str(cause))


def is_of_full_volume(cause: BaseException) -> bool:
    """By the system's number, by its words where a library has put them into an error of its own, or by what is left."""
    if isinstance(cause, OSError) and cause.errno in NO_ROOM:
        return cause.filename is None or Path(os.fsdecode(cause.filename)).is_relative_to(VOLUME)
    return os.strerror(errno.ENOSPC) in str(cause) or (_is_of_torch_writer(cause) and _next_to_nothing_is_left())


def _is_of_torch_writer(cause: BaseException) -> bool:
    return any(words in str(cause) for words in TORCH_WRITER)


def _next_to_nothing_is_left() -> bool:
    try:
        usage = shutil.disk_usage(VOLUME)
    except OSError:  # it is not even known
        return False
    return usage.free <= usage.total * NEXT_TO_NOTHING
