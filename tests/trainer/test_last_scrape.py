"""Learner 0 waits for its last scrape, and the others wait with it."""

from pathlib import Path

from harness.waiting import wait_for
from trainer.learner_inputs import learner_config
from trainer.learner_pod import two_pods

RANK = Path(__file__).with_name("last_scrape_rank.py")
START_S = 120


def test_all_ranks_end_when_learner_0_was_scraped(tmp_path: Path) -> None:
    """A pod whose ranks are gone has no HTTP port, and is unready until its launcher ends with that of learner 0."""
    config = learner_config(tmp_path / "model", tmp_path / "train.jsonl")
    with two_pods(tmp_path, config, RANK, str(tmp_path / "scraped")) as (first, second):
        wait_for("the wait for the scrape", lambda: "waits for the last scrape" in first.log.read_text(), START_S)
        wait_for("rank 1", lambda: "trained" in second.log.read_text(), START_S)
        assert "ends" not in second.log.read_text()
        (tmp_path / "scraped").touch()
        for pod in (first, second):
            assert pod.wait(START_S) == 0, pod.tail()
            assert "ends when learner 0 was scraped: True" in pod.log.read_text()
