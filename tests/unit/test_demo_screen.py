"""The live screen fits a terminal of 80 columns."""

import io

from rich.console import Console

from demo.screen import COLUMNS, picture

RUN = {
    "metadata": {"name": "demo"},
    "status": {
        "phase": "Running",
        "progress": {"step": 12, "maxSteps": 40, "etaSeconds": 155, "tokensPerSecond": 1234.5},
        "metrics": {"reward": 1.234, "kl": 0.0123, "loss": -0.0012, "rewards": {"accuracy": 0.5}},
        "conditions": [{"type": "GeneratorsReady", "status": "False", "message": "0 of 2 generators are ready."}],
    },
}


def test_the_screen() -> None:
    out = io.StringIO()
    Console(file=out, width=80, color_system=None).print(picture(RUN))
    lines = [line.rstrip() for line in out.getvalue().splitlines()]
    assert max(map(len, lines)) < 80
    assert all(name in lines[2] for name in COLUMNS)
    assert lines[-1] == "0 of 2 generators are ready."
