"""The line of vLLM's log that tells best why it ended."""

import re
from typing import Final

from grpo_contract.failure import QUOTED_CHARACTERS

# "(EngineCore pid=12) ERROR 11-24 05:33:25 [core.py:900] ValueError: Cannot find ..."
PREFIX: Final = re.compile(r"^(\(\w[^)]*\) )?((ERROR|CRITICAL) [-\d]+ [\d:]+ \[[^\]]+\] )?")
EXCEPTION: Final = re.compile(r"^([A-Za-z_][\w.]*\.)?[A-Z]\w*(Error|Exception|Interrupt)\b:? ")
# pydantic's first line only counts, "1 validation error for ModelConfig"; the next is "  Value error, ... [type=...", or a
# field's name before "  Input should be ... [type=..., input_value=...". Messages of several lines have [type=... later.
VALIDATION: Final = re.compile(
    r"^(Value error, (?P<error>.*?)( \[type=.*)?|(?P<input>.*?) \[type=\w+, input_value=.*)$"
)
ENGINE_DIED: Final = "EngineCore encountered an issue"
CONSEQUENCES: Final = (
    ENGINE_DIED,
    "Engine core initialization failed",
    "WorkerProc initialization failed",
)
"""What the other processes say once one of them has died."""
SHUTDOWN: Final = "[shutdown] API server: shutdown triggered"


class LastError:
    """Sees each line as it is written."""

    def __init__(self) -> None:
        self.is_final = False
        """vLLM is on its way down: what it says from now on is only the noise of that."""
        self._cause = ""
        self._consequence = ""
        self._line = ""

    def see(self, line: str) -> None:
        text = PREFIX.sub("", line.strip(), count=1)
        if not text or self.is_final:
            return
        self.is_final = ENGINE_DIED in text or SHUTDOWN in text
        if invalid := VALIDATION.match(text):
            self._cause = invalid["error"] or f"{self._line}: {invalid['input']}"
        elif not EXCEPTION.match(text):
            self._line = text
        elif any(consequence in text for consequence in CONSEQUENCES):
            self._consequence = text
        else:
            self._cause = text

    @property
    def text(self) -> str:
        """Empty when nothing was written."""
        return (self._cause or self._consequence or self._line)[:QUOTED_CHARACTERS]
