"""Figures as they are stored."""

import json
from pathlib import Path
from typing import Any

Figures = dict[str, Any]


def write(values: Figures, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(values, indent=2) + "\n")
