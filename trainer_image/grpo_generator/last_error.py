"""The line of vLLM's log that tells best why it ended."""

import re
from typing import Final

# "(EngineCore pid=12) ERROR 11-24 05:33:25 [core.py:900] ValueError: Cannot find ..."
PREFIX: Final = re.compile(r"^(\(\w[^)]*\) )?((ERROR|CRITICAL) [-\d]+ [\d:]+ \[[^\]]+\] )?")
EXCEPTION: Final = re.compile(r"^([A-Za-z_][\w.]*\.)?[A-Z]\w*(Error|Exception|Interrupt)\b:? ")
# pydantic's first line only counts, "1 validation error for ModelConfig"; the next is "  Value error, ... [type=...".
VALIDATION: Final = re.compile(r"^Value error, (?P<what>.*?)( \[type=.*)?$")
CONSEQUENCES: Final = (
    "Engine core initialization failed",
    "EngineCore encountered an issue",
    "WorkerProc initialization failed",
)
"""What the other processes say once one of them has died."""
MOST_CHARACTERS: Final = 500


class LastError:
    """Sees each line as it is written."""

    def __init__(self) -> None:
        self._cause = ""
        self._consequence = ""
        self._line = ""

    def see(self, line: str) -> None:
        text = PREFIX.sub("", line.strip(), count=1)
        if not text:
            return
        if invalid := VALIDATION.match(text):
            self._cause = invalid["what"]
        elif not EXCEPTION.match(text):
            self._line = text
        elif any(consequence in text for consequence in CONSEQUENCES):
            self._consequence = text
        else:
            self._cause = text

    @property
    def text(self) -> str:
        """Empty when nothing was written."""
        return (self._cause or self._consequence or self._line)[:MOST_CHARACTERS]
