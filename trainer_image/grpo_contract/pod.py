"""What a process of a run finds in its pod, and where it says why it ended.

Environment variables replace the paths and names where there is no pod: a learner or generator started by hand.
"""

import contextlib
import fcntl
import hmac
import logging
import os
import socket
from pathlib import Path

from grpo_contract import environment, files
from grpo_contract.benchmarks import BenchmarkScores
from grpo_contract.config import RunConfig
from grpo_contract.failure import USER_ERROR_EXIT_CODE, Failure, UserError
from grpo_contract.progress import Progress

log = logging.getLogger(__name__)


def read_config(path: Path | None = None) -> RunConfig:
    return RunConfig.model_validate_json((path or Path(files.CONFIG_FILE)).read_bytes())


def read_token() -> str:
    """The run's token: generators ask for it, learners present it."""
    return _path(environment.TOKEN_FILE, files.TOKEN_FILE).read_text().strip()


def token_of_page(token: str) -> str:
    """Opens the page and nothing else: browsers show cookies to every port of a host."""
    return hmac.digest(token.encode(), b"page", "sha256").hex()


def pod_name() -> str:
    return os.environ.get(environment.POD_NAME) or socket.gethostname()


def attempt() -> int:
    """Which attempt of the run this is, counted from 1."""
    return int(os.environ.get(environment.ATTEMPT, "1"))


def grace_period_s(usual: int) -> int:
    """How long this pod may take to end; `usual`, where nobody says."""
    return int(os.environ.get(environment.GRACE_PERIOD, usual))


def report_failure(failure: Failure) -> None:
    """Leave the reason for the operator. The first of a pod's processes wins: it knows the cause."""
    _leave(_fitting(failure).to_json())


def end_with_mistake(error: UserError) -> int:
    """The exit code of a process that found a user's mistake; it is left for the operator and in the log."""
    report_failure(error.failure)
    log.error("%s", error)
    return USER_ERROR_EXIT_CODE


def report_success(progress: Progress) -> None:
    """Leave the final progress for the operator."""
    text = progress.to_json()
    if len(text.encode()) > files.TERMINATION_BYTES:  # the list of generators grows with the fleet
        text = progress.model_copy(update={"generators": []}).to_json()
    _leave(text)


def report_scores(scores: BenchmarkScores) -> None:
    """Leave them for the operator. What does not fit is left out, from the end."""
    told = [(task, metric) for task, metrics in scores.scores.items() for metric in metrics]
    while len(scores.model_dump_json().encode()) > files.TERMINATION_BYTES:
        task, metric = told.pop()
        rest = {name: value for name, value in scores.scores[task].items() if name != metric}
        others = {name: metrics for name, metrics in scores.scores.items() if name != task}
        scores = BenchmarkScores(scores=others | ({task: rest} if rest else {}))
    _leave(scores.model_dump_json())


def _leave(text: str) -> None:
    """Outside a pod there may be no such file, and nobody who reads it."""
    with contextlib.suppress(OSError), _path(environment.TERMINATION_FILE, files.TERMINATION_FILE).open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        if not file.read(1):
            file.write(text)


def _path(variable: str, in_pod: object) -> Path:
    return Path(os.environ.get(variable) or str(in_pod))


def _fitting(failure: Failure) -> Failure:
    """The kubelet cuts what is longer, and JSON cut in the middle is no JSON: shorten the message instead."""
    while len(failure.to_json().encode()) > files.TERMINATION_BYTES:
        failure = failure.model_copy(update={"message": failure.message[: len(failure.message) * 3 // 4]})
    return failure
