"""How the ranks of an attempt find each other: in a store that rank 0 serves, at learner 0's name."""

import logging
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from grpo_contract import environment
from grpo_contract.failure import PodReason, RunFailure
from grpo_trainer.instruments.main_thread import MAIN_THREAD, Step
from grpo_trainer.waiting import wait_until

if TYPE_CHECKING:
    from torch.distributed import Store

LOOK_EVERY_S: Final = 0.5
CONNECTED_WITHIN_S: Final = 3.0
"""To somebody who is there."""
COME_WITHIN_S: Final = 1.0
"""Of one look: the store answers at once when the last one comes."""
TOLD_AFTER_S: Final = 5.0
"""Beyond what pods of an attempt that start together take for it."""

STORE_IS_THERE: Final = {"TORCHELASTIC_USE_AGENT_STORE": "True"}
"""As torchrun tells ranks: torch does not serve one at MASTER_PORT, but asks the one that is there. DeepSpeed, which knows best
what a process group on GPUs is made with, takes no store."""

log = logging.getLogger(__name__)


@contextmanager
def meeting(within_s: float) -> Iterator[None]:
    """Begins when all ranks of the attempt have come; those of another one, or of another run, are not taken for them. Rank 0 serves
    the store until it ends, and torch makes process groups by it. The variables that torchrun sets, too, say who and where.

    Raises:
        RunFailure: learner 0 has no name, does not answer, or some do not come, each within so many seconds; or learner 0 leaves.
    """
    from torch.distributed import DistNetworkError, PrefixStore, TCPStore

    rank, host, port = int(os.environ["RANK"]), os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    with MAIN_THREAD.within(Step.RENDEZVOUS):
        if rank > 0:
            _wait_for_name(host, within_s)
            _wait_for_learner_0(host, port, within_s)
        try:
            shared = TCPStore(
                host, port, is_master=rank == 0, wait_for_workers=False, timeout=timedelta(seconds=within_s)
            )
            store = PrefixStore(os.environ.get(environment.RENDEZVOUS, ""), shared)
            store.set(_key(rank), "")
            _wait_for_all(store, within_s)
        except DistNetworkError as error:
            if rank == 0:
                raise
            if rank < int(os.environ["LOCAL_WORLD_SIZE"]):  # of learner 0 itself: its launcher tells how rank 0 ended
                raise SystemExit(1) from error
            message = "learner 0 left before all learners had come: its log says why."
            raise RunFailure(PodReason.LEARNER_ERROR, message, follows=True) from error
    os.environ.update(STORE_IS_THERE)
    yield


def _wait_for_name(host: str, within_s: float) -> None:
    """Pods start in any order: learner 0 has no DNS record before it has an address."""

    def has_address() -> bool:
        try:
            return bool(socket.getaddrinfo(host, None))
        except socket.gaierror:
            return False

    remedy = "look at the events of its pod, and at the cluster's DNS"
    _wait(has_address, within_s, lambda: f"learner 0 ({host}) had no DNS record", remedy)


def _wait_for_learner_0(host: str, port: int, within_s: float) -> None:
    """It answers when it has imported its libraries."""

    def answers() -> bool:
        try:
            socket.create_connection((host, port), CONNECTED_WITHIN_S).close()
        except OSError:
            return False
        return True

    remedy = "look at its log, and at the events of its pod"
    _wait(answers, within_s, lambda: f"learner 0 ({host}) did not answer at port {port}", remedy)


def _wait_for_all(store: "Store", within_s: float) -> None:
    from torch.distributed import DistStoreError

    keys = [_key(rank) for rank in range(int(os.environ["WORLD_SIZE"]))]
    pod_size = int(os.environ["LOCAL_WORLD_SIZE"])

    def are_there() -> bool:
        try:
            store.wait(keys, timedelta(seconds=COME_WITHIN_S))
        except DistStoreError:
            return False
        return True

    def lack() -> str:
        return f"{_named([rank for rank, key in enumerate(keys) if not store.check([key])], len(keys), pod_size)} did not come"

    _wait(are_there, within_s, lack, "look for learner pods that are pending or failed, and at their logs")


def _named(ranks: Sequence[int], num_ranks: int, pod_size: int) -> str:
    """As learners, where all ranks of their pods are among them."""
    pods = sorted({rank // pod_size for rank in ranks})
    if len(ranks) == len(pods) * pod_size:
        return f"learner {', '.join(map(str, pods))} (of {num_ranks // pod_size})"
    return f"learner process {', '.join(map(str, ranks))} (of {num_ranks})"


def _wait(is_so: Callable[[], bool], within_s: float, lack: Callable[[], str], remedy: str) -> None:
    def look() -> bool:
        MAIN_THREAD.gets_on()  # the watchdog is for a look that hangs
        return is_so()

    def tell() -> None:
        log.warning(
            "%s for %.0f s: %s. The attempt ends after %.0f s of it (said once).",
            *(lack(), TOLD_AFTER_S, remedy, within_s),
        )

    def failure() -> RunFailure:
        return RunFailure(PodReason.RENDEZVOUS_TIMEOUT, f"{lack()} for {within_s:.0f} s: {remedy}.")

    wait_until(look, within_s, LOOK_EVERY_S, failure, tell_after_s=TOLD_AFTER_S, tell=tell)


def _key(rank: int) -> str:
    return f"rank-{rank}"
