"""What of a container's log goes into `status.lastFailure.log`."""

import pytest

from grpo_operator.log_lines import LINE_CHARACTERS, last_lines

LINES: dict[str, tuple[bytes, list[str]]] = {
    "nothing": (b"", []),
    "a container that is gone": (b"unable to retrieve container logs for containerd://a424", []),
    "an empty line": (b"\n", [""]),
    "no end of the last line": (b"one\ntwo", ["one", "two"]),
    "the last three": (b"one\ntwo\nthree\nfour\n", ["two", "three", "four"]),
    "a progress bar": (b"start\n 0%|  |\r 50%|# |\r100%|##|\nend\n", ["start", "100%|##|", "end"]),
    "a progress bar that ends with a return": (b" 0%\r100%\r\n", ["100%"]),
    "ends of lines from elsewhere": (b"one\r\ntwo\r\n", ["one", "two"]),
    "other characters that Python takes for ends of lines": ("a\x0bb\u2028c\n".encode(), ["a b c"]),
    "a line as long as may be": (b"x" * LINE_CHARACTERS, ["x" * LINE_CHARACTERS]),
    "a longer line": ("ä".encode() * (LINE_CHARACTERS + 1), ["ä" * (LINE_CHARACTERS - 1) + "…"]),
    "an entry": (
        b'{"time": "2026-11-28T22:21:57.736Z", "level": "ERROR", "message": "failed", "rank": 1, "error": "Traceback\\nValueError"}\n',
        ["2026-11-28 22:21:57,736 ERROR [rank 1] failed", "Traceback", "ValueError"],
    ),
    "no text": (b"\xff\n", ["\ufffd"]),
}


@pytest.mark.parametrize("case", LINES)
def test_last_lines(case: str) -> None:
    log, expected = LINES[case]
    assert last_lines(log, 3) == expected
