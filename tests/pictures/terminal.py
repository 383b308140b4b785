"""What a command prints on a terminal, as an SVG picture."""

import io
import re
import subprocess
from typing import Final

from rich.console import Console
from rich.text import Text

from harness.command import ANSWER_S, command_of, environment_of
from harness.kubectl import Kubectl

LIKE_A_TERMINAL: Final = {"FORCE_COLOR": "1", "TERM": "xterm-256color", "COLORTERM": "truecolor"}
FONTS: Final = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)
"""Of rich's picture, to be loaded from elsewhere, which no browser does for a picture in a page."""


def printed_in_colour(kubectl: Kubectl, *arguments: str) -> str:
    """By `kubectl grpo`, as on a terminal."""
    command, environment = command_of(kubectl, *arguments), environment_of(kubectl) | LIKE_A_TERMINAL
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, timeout=ANSWER_S, check=True)
    return done.stdout


def picture_of(printed: str, title: str) -> str:
    """As wide as its longest line."""
    lines = Text.from_ansi(printed).split()
    for line in lines:
        line.rstrip()
    width = max(line.cell_len for line in lines)
    console = Console(record=True, width=width, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    for line in lines:
        console.print(line, no_wrap=True)
    return FONTS.sub("", console.export_svg(title=title))
