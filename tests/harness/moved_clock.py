"""A program whose clock is wrong: libfaketime, of the Debian package of that name, answers for the kernel."""

import subprocess
from pathlib import Path

SLEEP = Path(__file__).with_name("real_sleep.c")


def moved_clock(by: str, folder: Path) -> dict[str, str]:
    """Environment of a program whose time of day is off, such as +1h; how fast time passes is as it is. `folder` may hold a file
    of its own as long as it runs."""
    (clock,) = Path("/usr/lib").glob("*/faketime/libfaketime.so.1")
    sleep = folder / f"{SLEEP.stem}.so"
    subprocess.run(["g++", "-x", "c", "-shared", "-fPIC", "-o", str(sleep), str(SLEEP)], check=True)
    return {"LD_PRELOAD": f"{sleep} {clock}", "FAKETIME": by, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
