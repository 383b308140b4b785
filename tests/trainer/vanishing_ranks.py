"""Rank 0 and rank 1 of a run, between which the network goes away; in a network namespace of its own. Prints who misses whom."""

import subprocess
import threading

from grpo_trainer.fleet import wire
from grpo_trainer.fleet.courier import receive
from grpo_trainer.fleet.inbox import Inbox
from grpo_trainer.fleet.keep_alive import keep_alive

SOONER = {"BETWEEN_LEARNERS": keep_alive(idle_s=1, every_s=1, most_missed=2), "SIGN_OF_LIFE_S": 0.5}
MISSED_WITHIN_S = 30.0


def main() -> None:
    vars(wire).update(SOONER)
    of_rank_0, of_rank_1 = Missing(), Missing()
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    exchange = wire.Exchange("127.0.0.1", of_rank_0)
    connection = wire.connect(exchange.address, 1)
    receive(connection, Inbox(), 10 * MISSED_WITHIN_S, of_rank_1)
    exchange.wait_for(1)
    subprocess.run(["ip", "link", "set", "lo", "down"], check=True)
    print("rank 0 misses", of_rank_0.wait(), "and rank 1 misses", of_rank_1.wait())


class Missing:
    def __init__(self) -> None:
        self._event, self._rank = threading.Event(), -1

    def __call__(self, rank: int) -> None:
        self._rank = rank
        self._event.set()

    def wait(self) -> int:
        self._event.wait(MISSED_WITHIN_S)
        return self._rank


if __name__ == "__main__":
    main()
