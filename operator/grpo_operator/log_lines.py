"""What of a container's log goes into a status: an object of more than a megabyte or so is stored no more."""

from typing import Final

from grpo_contract.log_entry import printable, readable, without_overwritten

LINE_CHARACTERS: Final = 500
CUT: Final = "…"

_NO_LOG: Final = b"unable to retrieve container logs for "
"""What the kubelet answers, with status 200, when the container is gone."""


def last_lines(log: bytes, count: int) -> list[str]:
    """As people read them. Long lines are cut."""
    if not log or log.startswith(_NO_LOG):
        return []
    lines = [
        text
        for line in log.decode(errors="replace").removesuffix("\n").split("\n")
        for text in readable(without_overwritten(line)).split("\n")
    ]
    return [_cut(printable(line)) for line in lines[-count:]]


def _cut(line: str) -> str:
    return line if len(line) <= LINE_CHARACTERS else line[: LINE_CHARACTERS - len(CUT)] + CUT
