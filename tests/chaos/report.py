"""What `make chaos` and `make chaos-soak` found, in one file: each writes its part."""

import json
from datetime import UTC, datetime
from typing import Any

from harness.layout import ROOT

REPORT = ROOT / "build" / "chaos.json"


def write_report(**part: Any) -> None:
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(json.dumps(_known() | part, indent=1) + "\n")


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _known() -> dict[str, Any]:
    try:
        known: dict[str, Any] = json.loads(REPORT.read_text())
    except (OSError, ValueError):  # the first one, or one that was cut off
        return {}
    return known
