"""One rank that has nothing to train: `last_scrape_rank.py CONFIG FILE`. Learner 0 is scraped when FILE is there."""

import sys
from pathlib import Path
from typing import Any
from unittest.mock import patch

from grpo_contract.pod import read_config
from grpo_trainer import training, worker
from harness.waiting import wait_for

SCRAPED = Path(sys.argv[2])


class SlowlyScraped:
    def __init__(self, *_: Any) -> None:
        pass

    def wait_for_last_scrape(self) -> bool:
        print("waits for the last scrape", flush=True)
        return wait_for("the last scrape", SCRAPED.exists, 120, interval_s=0.05)


def train(*_: Any) -> Path:
    print("trained", flush=True)
    return Path("/volume/model")


def main() -> None:
    with patch.object(training, "train", train), patch.object(worker, "Exporter", SlowlyScraped):
        worker.learn(read_config(Path(sys.argv[1])))
    print(f"ends when learner 0 was scraped: {SCRAPED.exists()}", flush=True)


if __name__ == "__main__":
    main()
