"""A program whose clock is wrong: libfaketime, of the Debian package of that name, answers for the kernel."""

from pathlib import Path


def moved_clock(by: str) -> dict[str, str]:
    """Environment of a program whose time of day is off, such as +1h; how fast time passes is as it is. Not for one that sleeps:
    with a right monotonic clock libfaketime 0.9.10 breaks clock_nanosleep."""
    (library,) = Path("/usr/lib").glob("*/faketime/libfaketime.so.1")
    return {"LD_PRELOAD": str(library), "FAKETIME": by, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
