"""The demo outlasts commands that fail for a while, and says in one sentence what has ended it."""

import json
import subprocess
from pathlib import Path
from typing import NoReturn

import pytest

import demo.__main__ as demo
from demo.errors import DemoError
from demo.jobs import wait_for_job
from harness.kubectl import CommandFailedError, Kubectl, Manifest
from harness.outages import wait_through_outages

RUN: Manifest = {"metadata": {"name": "demo"}, "status": {"phase": "Succeeded"}}
JOB: Manifest = {"metadata": {"name": "demo-data"}, "status": {"conditions": [{"type": "Complete", "status": "True"}]}}

# Its first call fails; later ones answer with the file `object`, and no pods.
KUBECTL = """#!/bin/sh
cd "$(dirname "$0")" || exit
if [ ! -e called ]; then touch called; echo "connection refused" >&2; exit 1; fi
case "$*" in *"get pod "*) echo '{"items": []}' ;; *) cat object ;; esac
"""


@pytest.fixture
def kubectl(tmp_path: Path) -> Kubectl:
    (tmp_path / "kubectl").write_text(KUBECTL)
    (tmp_path / "kubectl").chmod(0o755)
    return Kubectl(programs=tmp_path)


def answers(kubectl: Kubectl, found: Manifest | None) -> None:
    assert kubectl.programs is not None
    (kubectl.programs / "object").write_text(json.dumps(found) if found else "")


def test_a_command_that_fails_once_does_not_end_the_demo(kubectl: Kubectl) -> None:
    answers(kubectl, RUN)
    shown: list[Manifest] = []
    assert demo.watch(kubectl, "demo", shown.append) == RUN
    assert shown == [RUN]


def test_nor_the_wait_for_a_job(kubectl: Kubectl) -> None:
    answers(kubectl, JOB)
    wait_for_job(kubectl, "demo-data")


def test_what_somebody_deleted_is_not_waited_for(kubectl: Kubectl) -> None:
    answers(kubectl, None)
    with pytest.raises(DemoError, match=r"^Run demo is gone: it was deleted\.$"):
        demo.watch(kubectl, "demo", lambda _: None)
    with pytest.raises(DemoError, match=r"^Job demo-data is gone: it was deleted\.$"):
        wait_for_job(kubectl, "demo-data")


def test_the_last_failure_is_raised_at_the_deadline() -> None:
    numbers = iter(range(1_000_000))

    def look() -> NoReturn:
        raise CommandFailedError(f"call {next(numbers)}")

    with pytest.raises(CommandFailedError) as failure:
        wait_through_outages("never", look, timeout_s=0.05, interval_s=0.01)
    assert str(failure.value) == f"call {next(numbers) - 1}"


def test_a_failure_that_is_over_is_not_raised() -> None:
    looks = iter([CommandFailedError("over")])

    def look() -> None:
        if error := next(looks, None):
            raise error

    with pytest.raises(TimeoutError, match=r"never: not within 0 s \(last seen: None\)"):
        wait_through_outages("never", look, timeout_s=0.05, interval_s=0.01)


def test_a_tool_that_fails_is_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def up(_: bool) -> None:
        raise subprocess.CalledProcessError(2, ["python", "-m", "cluster", "up"])

    monkeypatch.setattr(demo, "up", up)
    monkeypatch.setattr("sys.argv", ["demo", "up"])
    with pytest.raises(SystemExit) as end:
        demo.main()
    assert end.value.code == "`python -m cluster up` ended with 2; its messages are above"
