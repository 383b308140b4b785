"""Process 1 of a learner pod: torchrun for this pod's share of the run, and the exit code that the operator acts on.

What can be refused without torch is refused here, within a second. It starts `grpo_trainer.worker` once per process and
waits. There are no restarts inside a pod: one dead worker ends the pod, and the operator starts a new attempt. Asked to end,
it waits for workers that make steps to save the last one, as long as the pod may take to end, and else ends them at once.
"""

import logging
import math
import os
import signal
import socket
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any, Final

from grpo_contract import environment
from grpo_contract.config import RunConfig
from grpo_contract.failure import USER_ERROR_EXIT_CODE, Failure, PodReason, RunFailure, UserError
from grpo_contract.files import CONFIG_FILE
from grpo_contract.grace import LEARNER_GRACE_PERIOD_S
from grpo_contract.network import RENDEZVOUS_PORT
from grpo_contract.pod import attempt, grace_period_s, read_config, report_failure
from grpo_trainer import preflight
from grpo_trainer.end_request import EXIT_CODE, EndRequest
from grpo_trainer.instruments.logs import set_up_logging
from grpo_trainer.instruments.startup import started_at
from grpo_trainer.page import serve_page
from grpo_trainer.rewards.code import module_folders
from grpo_trainer.storage.starting_checkpoint import check_starting_checkpoint
from grpo_trainer.waiting import wait_until
from grpo_trainer.watchdog import Watchdog

DNS_RETRY_S: Final = 1.0
TOLD_AFTER_S: Final = 5.0
"""Beyond what a record takes when the pods of an attempt start together."""
STOP_WORKERS_S: Final = 10
"""Between SIGTERM and SIGKILL."""
LAST_S: Final = 3.0
"""Of the pod's grace period, for the end of workers that have not ended by themselves."""
TORCHRUN: Final = "torch.distributed.launcher.api"
"""What starts workers."""
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
        import_module(TORCHRUN)
        watchdog.close()
        wait_for_name(config.learners.rendezvous_host, config.deadlines.rendezvous_s)
        run_workers(config, config_file)


def wait_for_name(host: str, deadline_s: float) -> None:
    """Pods start in any order: learner 0 has no DNS record before it has an address."""
    remedy = "look at the events of its pod, and at the cluster's DNS."
    nameless = RunFailure(
        PodReason.RENDEZVOUS_TIMEOUT, f"learner 0 ({host}) had no DNS record for {deadline_s:.0f} s: {remedy}"
    )

    def tell() -> None:
        log.warning(
            "learner 0 (%s) has no DNS record yet: %s The attempt ends after %.0f s without one (said once).",
            *(host, remedy, deadline_s),
        )

    wait_until(lambda: has_address(host), deadline_s, DNS_RETRY_S, nameless, tell_after_s=TOLD_AFTER_S, tell=tell)


def has_address(host: str) -> bool:
    try:
        return bool(socket.getaddrinfo(host, RENDEZVOUS_PORT))
    except socket.gaierror:
        return False


def run_workers(config: RunConfig, config_file: Path) -> None:
    # a worker that torchrun could not end may still write into it
    with tempfile.TemporaryDirectory(prefix="end-request-", ignore_cleanup_errors=True) as folder:
        os.environ[environment.END_REQUEST] = folder
        launch_workers(config, config_file, EndRequest(Path(folder)))


def launch_workers(config: RunConfig, config_file: Path, request: EndRequest) -> None:
    from torch.distributed import DistError
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import elastic_launch

    if config.learners.device == "cpu":
        os.environ.setdefault("OMP_NUM_THREADS", "1")  # threads that spin on shared cores take their work's time
    if config.learners.pods > 1:
        log.info(
            "waiting for all %d learner pods to meet at %s, for %.0f s at most",
            *(config.learners.pods, config.learners.rendezvous_host, config.deadlines.rendezvous_s),
        )
    EndOfWorkers(request)
    try:
        elastic_launch(launch_config(config), sys.executable)(*WORKER, str(config_file))
    except ChildFailedError as error:
        if EXIT_CODE in (failure.exitcode for failure in error.failures.values()):
            sys.exit(EXIT_CODE)
        raise worker_failure(error) from error
    except DistError as error:
        raise RunFailure(
            PodReason.RENDEZVOUS_TIMEOUT,
            f"not all {config.learners.pods} learner pods met at {config.learners.rendezvous_host} within "
            f"{config.deadlines.rendezvous_s:.0f} s: look for learner pods that are pending or failed.",
        ) from error
    except SignalException as error:
        sys.exit(128 + error.sigval)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGTERM, exit_on_signal)


class EndOfWorkers:
    """SIGTERM is for them from here on. They are ended at once where they have nothing to save, and else when they do not come
    to save as they should, or the pod's time is up; most end by themselves before."""

    def __init__(self, request: EndRequest) -> None:
        self._request = request
        self._ends_at_s = math.inf
        signal.signal(signal.SIGALRM, self.look_again)
        signal.signal(signal.SIGTERM, self.ask)

    def ask(self, number: int, _: FrameType | None) -> None:
        if self._request.is_made():
            return
        time_s = max(LAST_S, grace_period_s(LEARNER_GRACE_PERIOD_S) - LAST_S)
        self._ends_at_s = time.monotonic() + time_s
        self._wait(self._request.heeded_within_s())
        try:
            self._request.make()
        except OSError:
            log.exception("learners cannot be asked to end, and are ended")
            signal.setitimer(signal.ITIMER_REAL, 0)
            self._wait(None)
        log.info("the pod is asked to end: learners save the last finished step, if they can within %.0f s", time_s)

    def look_again(self, number: int, _: FrameType | None) -> None:
        is_saving = self._request.heeded_within_s() == math.inf
        self._wait(math.inf if is_saving else None)

    def _wait(self, within_s: float | None) -> None:
        from torch.distributed.elastic.multiprocessing.api import SignalException

        left_s = self._ends_at_s - time.monotonic()
        if within_s is None or left_s <= 0:
            raise SignalException("the pod is asked to end", signal.SIGTERM)
        signal.setitimer(signal.ITIMER_REAL, min(within_s, left_s))


def launch_config(config: RunConfig) -> Any:
    from torch.distributed.launcher.api import LaunchConfig

    return LaunchConfig(
        min_nodes=config.learners.pods,
        max_nodes=config.learners.pods,
        nproc_per_node=config.learners.processes_per_pod,
        run_id=f"{config.uid}-{attempt()}",  # a pod of an older attempt cannot join
        role="learner",
        rdzv_backend="static",
        rdzv_endpoint=f"{config.learners.rendezvous_host}:{RENDEZVOUS_PORT}",
        rdzv_configs={
            "rank": int(os.environ.get(environment.JOB_INDEX, "0")),
            "timeout": int(config.deadlines.rendezvous_s),
        },
        max_restarts=0,
        monitor_interval=0.5,
        shutdown_timeout=STOP_WORKERS_S,
        signals_to_handle="SIGINT,SIGHUP,SIGQUIT",  # SIGTERM is handled here
    )


def worker_failure(error: Any) -> RunFailure:
    """What the workers' exit codes tell: the one that says most, since others end because a first one did.

    A worker that knew more has written it into the termination file already.
    """
    codes = {rank: failure.exitcode for rank, failure in error.failures.items()}
    rank = min(codes, key=lambda rank: (codes[rank] != USER_ERROR_EXIT_CODE, codes[rank] != -signal.SIGKILL, rank))
    was_killed = codes[rank] == -signal.SIGKILL
    remedy = "probably for memory: raise spec.learners.resources.limits.memory" if was_killed else "see its log"
    kind = UserError if codes[rank] == USER_ERROR_EXIT_CODE else RunFailure
    return kind(PodReason.LEARNER_ERROR, f"learner process {rank} {end_of(codes[rank])}: {remedy}.")


def end_of(code: int) -> str:
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"exited with code {code}"
