"""What of a container's log goes into a status: an object of more than a megabyte or so is stored no more."""

from typing import Final

from grpo_contract.log_entry import readable

LINE_CHARACTERS: Final = 500
CUT: Final = "…"

_NO_LOG: Final = b"unable to retrieve container logs for "
"""What the kubelet answers, with status 200, when the container is gone."""


def last_lines(log: bytes, count: int) -> list[str]:
    """As people read them. Long lines are cut, and of a progress bar, which writes over itself, only what stands in the end is
    kept."""
    if not log or log.startswith(_NO_LOG):
        return []
    lines = [text for line in _split(log.decode(errors="replace")) for text in _split(readable(line))]
    return [_shown(line) for line in lines[-count:]]


def _split(text: str) -> list[str]:
    return text.removesuffix("\n").split("\n")


def _shown(line: str) -> str:
    shown = line.rstrip("\r").rpartition("\r")[2]
    return shown if len(shown) <= LINE_CHARACTERS else shown[: LINE_CHARACTERS - len(CUT)] + CUT
