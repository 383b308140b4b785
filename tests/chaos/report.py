"""What `make chaos` and `make chaos-soak` found, in one file: each writes its part."""

import json
from typing import Any

from harness.layout import ROOT

REPORT = ROOT / "build" / "chaos.json"


def write_report(**part: Any) -> None:
    REPORT.parent.mkdir(exist_ok=True)
    known = json.loads(REPORT.read_text()) if REPORT.exists() else {}
    REPORT.write_text(json.dumps(known | part, indent=1) + "\n")
