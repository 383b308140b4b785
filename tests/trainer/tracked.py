"""What trackers have written to the volume, read back."""

import json
import sqlite3
import struct
from contextlib import closing
from pathlib import Path
from typing import Any

from tensorboardX.proto.event_pb2 import Event
from wandb.proto.wandb_internal_pb2 import Record as WandbRecord

WANDB_HEADER = 7
BLOCK = 32768
FRAGMENT_HEADER = struct.Struct("<IHB")
"""Checksum, length, and which part of a record it is."""
WHOLE, LAST = 1, 4


def scalars_of(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Of the event file: records of length, its checksum, data and theirs (TFRecord)."""
    (file,) = folder.glob("events.out.tfevents.*")
    content, position = file.read_bytes(), 0
    found: dict[str, list[tuple[int, float]]] = {}
    while position < len(content):
        (length,) = struct.unpack_from("<Q", content, position)
        event = Event.FromString(content[position + 12 : position + 12 + length])
        for value in event.summary.value:
            found.setdefault(value.tag, []).append((event.step, value.simple_value))
        position += length + 16
    return found


def records_of(folder: Path) -> list[WandbRecord]:
    """Of the one run that lies in the folder. The file is a log of LevelDB: records in fragments, none across a block."""
    (file,) = folder.glob("wandb/offline-run-*/run-*.wandb")
    content, position = file.read_bytes(), WANDB_HEADER
    records, data = [], b""
    while position + FRAGMENT_HEADER.size <= len(content):
        if BLOCK - position % BLOCK < FRAGMENT_HEADER.size:
            position += BLOCK - position % BLOCK
        _, length, part = FRAGMENT_HEADER.unpack_from(content, position)
        position += FRAGMENT_HEADER.size + length
        data += content[position - length : position]
        if part in (WHOLE, LAST):
            records.append(WandbRecord.FromString(data))
            data = b""
    return records


def history_of(records: list[WandbRecord]) -> list[dict[str, object]]:
    return [
        {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in record.history.item}
        for record in records
        if record.WhichOneof("record_type") == "history"
    ]


def logged_by_trackio(folder: Path) -> list[tuple[str, int, dict[str, Any]]]:
    """(name of the run, step, what was logged), in the order of logging."""
    with closing(sqlite3.connect(folder / "huggingface.db")) as database:
        rows = database.execute("SELECT run_name, step, metrics FROM metrics ORDER BY id").fetchall()
    return [(name, step, json.loads(metrics)) for name, step, metrics in rows]
