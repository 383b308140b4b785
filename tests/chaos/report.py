"""What `make chaos`, `make chaos-alerts` and `make chaos-soak` found, in one file: each writes its part. As a command: the tables of
docs/reliability.md.
"""

import json
import subprocess
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final

from harness.layout import ROOT

REPORT = ROOT / "build" / "chaos.json"
COLUMNS: Final = {
    "noticed_s": "noticed, s",
    "recovered_s": "as before after, s",
    "own_s": "own start in that, s",
    "steps_lost": "steps made again",
    "into_step": "into a step",
}
"""Of a row: what is told of each time that the fault struck."""
ALERT_COLUMNS: Final = {
    "alert": "alert",
    "severity": "severity",
    "fault": "fault",
    "stated_s": "for, s",
    "fired_s": "fired after, s",
}


def write_soak(soak: dict[str, Any]) -> None:
    _write(_known() | {"soak": soak})


def write_row(row: dict[str, Any]) -> None:
    """In the place of what was known of the same fault: the others may have been struck another time."""
    known = _known()
    _write(known | {"rows": merged(known.get("rows", []), row, "fault")})


def write_alert(row: dict[str, Any]) -> None:
    known = _known()
    _write(known | {"alerts": merged(known.get("alerts", []), row, "alert", "severity")})


def merged(rows: list[dict[str, Any]], row: dict[str, Any], *names: str) -> list[dict[str, Any]]:
    """`names`: of the fields by which a row is the same as another one."""
    return list({tuple(known[name] for name in names): known for known in [*rows, row]}.values())


def provenance(**more: Any) -> dict[str, Any]:
    """Of a row, or of a soak: when, of which commit, and more, such as the seed of its random moments."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit.stdout.strip(),
        **more,
    }


def cells(row: dict[str, Any]) -> Iterable[str]:
    """Of the columns, in their order; empty where the row does not tell."""
    return (" ".join(map(figure, row.get(name, []))) for name in COLUMNS)


def alert_cells(row: dict[str, Any]) -> Iterable[str]:
    values = (row[name] for name in ALERT_COLUMNS)
    return (value if isinstance(value, str) else figure(value) for value in values)


def figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


def markdown(rows: Iterable[dict[str, Any]]) -> str:
    lines = [_line("fault", *COLUMNS.values()), _line("---", *["--:"] * len(COLUMNS))]
    struck = [row for row in rows if "tests" not in row]
    return "\n".join([*lines, *(_line(row["fault"], *cells(row)) for row in struck)])


def alert_markdown(rows: Iterable[dict[str, Any]]) -> str:
    lines = [_line(*ALERT_COLUMNS.values()), _line(*["---"] * 3, *["--:"] * 2)]
    return "\n".join([*lines, *(_line(*alert_cells(row)) for row in rows)])


def _line(*texts: str) -> str:
    return f"| {' | '.join(texts)} |"


def _write(report: dict[str, Any]) -> None:
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(json.dumps(report, indent=1) + "\n")


def _known() -> dict[str, Any]:
    try:
        known: dict[str, Any] = json.loads(REPORT.read_text())
    except (OSError, ValueError):  # the first one, or one that was cut off
        return {}
    return known


if __name__ == "__main__":
    print(markdown(_known().get("rows", [])), alert_markdown(_known().get("alerts", [])), sep="\n\n")
