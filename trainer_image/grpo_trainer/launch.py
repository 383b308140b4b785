"""Process 1 of a learner pod: it starts this pod's ranks, and ends with the exit code that the operator acts on.

What can be refused without torch is refused here, within a second. It starts `grpo_trainer.worker` once per rank and
waits. There are no restarts inside a pod: one dead worker ends the pod, and the operator starts a new attempt. Asked to end,
it waits for workers that make steps to save the last one, as long as the pod may take to end, and else ends them at once.
"""

import logging
import os
import signal
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import Final

from grpo_contract import environment
from grpo_contract.config import RunConfig
from grpo_contract.failure import USER_ERROR_EXIT_CODE, Failure, PodReason, RunFailure, UserError
from grpo_contract.files import CONFIG_FILE
from grpo_contract.pod import attempt, read_config, report_failure
from grpo_trainer import preflight
from grpo_trainer.end_of_pod import EndOfPod
from grpo_trainer.end_request import EXIT_CODE, EndRequest
from grpo_trainer.instruments.logs import set_up_logging
from grpo_trainer.instruments.startup import started_at
from grpo_trainer.page import serve_page
from grpo_trainer.rewards.code import module_folders
from grpo_trainer.storage.starting_checkpoint import check_starting_checkpoint
from grpo_trainer.watchdog import Watchdog
from grpo_trainer.workers import Workers, places_of, started

LOOK_EVERY_S: Final = 0.1
OTHERS_WITHIN_S: Final = 0.5
"""Who misses a killed neighbour may have ended before that one's memory is given back and its end is told."""
WORKER: Final[tuple[str, ...]] = ("-m", "grpo_trainer.worker")

log = logging.getLogger(__name__)


def main(arguments: list[str]) -> int:
    signal.signal(signal.SIGTERM, exit_on_signal)  # process 1 of a container ignores signals that it does not handle
    set_up_logging()
    config_file = Path(arguments[0] if arguments else CONFIG_FILE)
    try:
        run(read_config(config_file), config_file)
    except RunFailure as error:
        return end(error)
    except Exception as error:
        log.exception("the launcher failed")
        report_failure(Failure(reason=PodReason.LEARNER_ERROR, message=f"{type(error).__name__}: {error}"))
        return 1
    return 0


def end(error: RunFailure) -> int:
    log.error("%s: %s", error.failure.reason, error)
    report_failure(error.failure)
    return USER_ERROR_EXIT_CODE if isinstance(error, UserError) else 1


def exit_on_signal(number: int, _: FrameType | None) -> None:
    sys.exit(128 + number)


def run(config: RunConfig, config_file: Path) -> None:
    """Returns when this pod's workers have finished their work; raises RunFailure when they have not."""
    os.environ[environment.LAUNCHED_AT] = str(started_at())
    for note in config.recipe_notes:
        log.info("spec.recipe.%s: %s", note.key, note.action)
    serve_page(config_file)
    with tempfile.TemporaryDirectory(prefix="reward-code-", ignore_cleanup_errors=True) as copies:
        watchdog = Watchdog(config.deadlines)  # what it looks at lies on the volume, and what it imports in the image
        code = module_folders(config.rewards.code, Path(copies))
        os.environ[environment.REWARD_CODE] = os.pathsep.join(map(str, code))
        preflight.check(config.recipe, code)
        preflight.check_hub(config.recipe, config.name)
        check_starting_checkpoint(config)
        watchdog.close()
        run_workers(config, config_file)


def run_workers(config: RunConfig, config_file: Path) -> None:
    if config.learners.device == "cpu":
        os.environ.setdefault("OMP_NUM_THREADS", "1")  # threads that spin on shared cores take their work's time
    # a worker that could not be ended may still write into it
    with tempfile.TemporaryDirectory(prefix="end-request-", ignore_cleanup_errors=True) as folder:
        os.environ[environment.END_REQUEST] = folder
        os.environ[environment.RENDEZVOUS] = f"{config.uid}-{attempt()}"
        end_of_pod = EndOfPod(EndRequest(Path(folder)))
        signal.signal(signal.SIGTERM, end_of_pod.ask)
        pod = int(os.environ.get(environment.JOB_INDEX, "0"))
        with started((*WORKER, str(config_file)), places_of(config.learners, pod)) as workers:
            wait_for(workers, end_of_pod)


def wait_for(workers: Workers, end_of_pod: EndOfPod) -> None:
    """Until their work is done, one has failed, or they have had their time."""
    while not workers.are_over():
        if end_of_pod.is_due(time.monotonic()):
            sys.exit(EXIT_CODE)
        time.sleep(LOOK_EVERY_S)
    workers.wait(OTHERS_WITHIN_S)
    failed = workers.failed()
    if EXIT_CODE in failed.values():
        sys.exit(EXIT_CODE)
    if failed:
        raise worker_failure(failed)


def worker_failure(codes: Mapping[int, int]) -> RunFailure:
    """What the workers' exit codes tell, by rank: the one that says most, since others end because a first one did.

    A worker that knew more has written it into the termination file already.
    """
    rank = min(codes, key=lambda rank: (codes[rank] != USER_ERROR_EXIT_CODE, codes[rank] != -signal.SIGKILL, rank))
    was_killed = codes[rank] == -signal.SIGKILL
    remedy = "probably for memory: raise spec.learners.resources.limits.memory" if was_killed else "see its log"
    kind = UserError if codes[rank] == USER_ERROR_EXIT_CODE else RunFailure
    return kind(PodReason.LEARNER_ERROR, f"learner process {rank} {end_of(codes[rank])}: {remedy}.")


def end_of(code: int) -> str:
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"exited with code {code}"
