"""The file that makes a checkpoint count: written last, with the checksums of all other files, and of itself."""

import json
import re
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError

from grpo_trainer.storage.checkpoint_files import MARKER, PARTIAL_MARKER
from grpo_trainer.storage.checksums import FileSum, checksum
from grpo_trainer.storage.flushing import flush, flush_one

OWN_CHECKSUM: Final = re.compile(r'\A(\{.+),"checksum":"([0-9a-f]{32})"\}\Z', re.DOTALL)


class Marker(BaseModel):
    """What the marker file says."""

    model_config = ConfigDict(frozen=True)

    step: int
    max_steps: int
    time: str
    """RFC 3339, UTC."""
    for_recovery: bool
    for_recipe: bool
    ended_early: str | None = None
    """Why it is the last one before max_steps."""
    best_step: int | None = None
    """Whose model is to be the trained one, when this is the last checkpoint; None: its own."""
    files: dict[str, FileSum] | None = None
    """By their paths in the folder. None: an older image wrote the checkpoint, without any."""


class DamagedMarkerError(Exception):
    """In words that say what is wrong with the file."""


def write_marker(folder: Path, marker: Marker) -> None:
    partial = folder / PARTIAL_MARKER
    partial.write_text(text_of(marker))
    flush(partial.parent)
    partial.rename(folder / MARKER)
    flush_one(folder)
    flush_one(folder.parent)


def text_of(marker: Marker) -> str:
    content = marker.model_dump_json(exclude_none=True)
    return f'{content[:-1]},"checksum":"{checksum(content.encode())}"}}'


def read_marker(folder: Path) -> Marker:
    """
    Raises:
        DamagedMarkerError: it is not as it was written.
        OSError: it cannot be read.
    """
    return marker_of((folder / MARKER).read_bytes())


def marker_of(content: bytes) -> Marker:
    if not content:
        raise DamagedMarkerError("it is empty")
    try:
        text = content.decode()
        if found := OWN_CHECKSUM.match(text):
            said = found[1] + "}"
            if checksum(said.encode()) != found[2]:
                raise DamagedMarkerError("its content does not match its checksum")
            return Marker.model_validate_json(said)
        if not {"files", "checksum"}.isdisjoint(json.loads(text)):
            raise DamagedMarkerError("it has no checksum of its own")
        return Marker.model_validate_json(text)
    except (ValueError, TypeError, ValidationError) as error:
        raise DamagedMarkerError("it is no JSON of a marker") from error
