"""What an error of a library comes from: the system, which may do better next time, or what the user wrote."""

import traceback
from collections.abc import Iterator
from typing import Final

OF_THE_PATH: Final = (FileNotFoundError, PermissionError, NotADirectoryError, IsADirectoryError)
"""What a path answers for as long as nobody corrects the path or what lies there."""
TIMED_OUT: Final = "Timed out waiting"
"""In gloo's words."""


def is_of_the_system(error: BaseException) -> bool:
    """A failing disk or network drive, a full volume, too little memory: no mistake of the user's.

    The system's own errors have a number (but for a socket's timeout); an OSError of a library, such as "no tokenizer in this folder", has words only.
    """
    return any(
        isinstance(cause, MemoryError | TimeoutError)
        or (isinstance(cause, OSError) and cause.errno is not None and not isinstance(cause, OF_THE_PATH))
        for cause in chain(error)
    )


def is_time_out_of_collective(error: BaseException) -> bool:
    """By gloo, which is asked to wait longer than the watchdog."""
    return any(isinstance(cause, RuntimeError) and TIMED_OUT in str(cause) for cause in chain(error))


def chain(error: BaseException) -> Iterator[BaseException]:
    """The error, what it was raised from or while handling, and so on."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def first_line(error: BaseException) -> str:
    """Of its message, to be quoted in a sentence."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


def description(error: BaseException) -> str:
    """Type, words and the line that raised it; the words of a SyntaxError hold its line already."""
    words = f"{type(error).__name__}: {first_line(error)}"
    if isinstance(error, SyntaxError):
        return words
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{words} ({frame.filename}, line {frame.lineno})"


def modules_of(error: BaseException) -> list[str]:
    """The modules that the error went through; the last one raised it."""
    return [frame.f_globals["__name__"] for frame, _ in traceback.walk_tb(error.__traceback__)]
