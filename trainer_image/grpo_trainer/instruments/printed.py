"""What reward functions and libraries print, as entries of the log: each with the step and the rank that it comes from."""

import io
import logging
import threading
from typing import Final, TextIO

LOGGER: Final = "stdout"

log = logging.getLogger(LOGGER)


class Printed(io.TextIOBase):
    """In the place of sys.stdout. Of a progress bar, which writes over itself, a line is what stands in the end."""

    encoding = "utf-8"

    def __init__(self, underneath: TextIO) -> None:
        """`underneath` is for who asks for a file: a process that is to write there, too."""
        self.buffer = underneath.buffer
        self._fileno = underneath.fileno
        self._begun = ""
        self._lock = threading.Lock()

    def write(self, text: str) -> int:
        with self._lock:
            *lines, self._begun = (self._begun + text).split("\n")
        for line in lines:
            _tell(line)
        return len(text)

    def flush(self) -> None:
        """Also of a line that has no end yet: the process may have one."""
        with self._lock:
            line, self._begun = self._begun, ""
        _tell(line)

    def fileno(self) -> int:
        return self._fileno()

    def writable(self) -> bool:
        return True


def _tell(line: str) -> None:
    if shown := line.rstrip("\r").rpartition("\r")[2]:
        log.info("%s", shown)
