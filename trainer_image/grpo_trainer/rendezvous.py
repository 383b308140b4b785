"""How the ranks of an attempt find each other: in a store that rank 0 serves, at learner 0's name."""

import logging
import os
import socket
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from grpo_contract.failure import PodReason, RunFailure
from grpo_contract.pod import attempt
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

log = logging.getLogger(__name__)


def meet(within_s: float) -> "Store":
    """Returns when all ranks of the attempt have come; those of another one are not taken for them. torchrun's variables say who
    and where.

    Raises:
        RunFailure: learner 0 has no name, does not answer, or some do not come, each within so many seconds; or learner 0 leaves.
    """
    from torch.distributed import PrefixStore, TCPStore

    rank, host, port = int(os.environ["RANK"]), os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    with MAIN_THREAD.within(Step.RENDEZVOUS):
        if rank > 0:
            _wait_for_name(host, within_s)
            _wait_for_learner_0(host, port, within_s)
        server = TCPStore(host if rank > 0 else "localhost", port, is_master=rank == 0, wait_for_workers=False)
        store = PrefixStore(f"attempt-{attempt()}", server)
        store.set(_key(rank), "")
        _wait_for_all(store, within_s)
    return store


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
    from torch.distributed import DistNetworkError, DistStoreError

    keys = [_key(rank) for rank in range(int(os.environ["WORLD_SIZE"]))]
    pod_size = int(os.environ["LOCAL_WORLD_SIZE"])

    def are_there() -> bool:
        try:
            store.wait(keys, timedelta(seconds=COME_WITHIN_S))
        except DistStoreError:
            return False
        except DistNetworkError as error:
            message = "learner 0 left before all learners had come: its log says why."
            raise RunFailure(PodReason.LEARNER_ERROR, message, follows=True) from error
        return True

    def lack() -> str:
        pods = {rank // pod_size for rank, key in enumerate(keys) if not store.check([key])}
        return f"learner {', '.join(map(str, sorted(pods)))} (of {len(keys) // pod_size}) did not come"

    _wait(are_there, within_s, lack, "look for learner pods that are pending or failed")


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
