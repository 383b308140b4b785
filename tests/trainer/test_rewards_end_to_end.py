"""A learner pod of two ranks whose reward function hangs: how the run ends, and what becomes of its processes."""

import fcntl
import json
from pathlib import Path

from grpo_contract.config import RewardCode, RewardsConfig
from grpo_contract.failure import USER_ERROR_EXIT_CODE
from harness.waiting import wait_for
from trainer.learner_inputs import learner_config, write_problems
from trainer.run_with_generator import run_with_generator
from trainer.running_generator import RunningGenerator

RUN_S = 400
RANKS = 2
HANGING = """
import fcntl, os, pathlib, time
lock = open(pathlib.Path(__file__).with_name(f"{os.getpid()}.lock"), "w")
fcntl.flock(lock, fcntl.LOCK_EX)  # as long as this process lives
def hang(completions, **columns):
    while True:
        time.sleep(1)
"""


def locks_of_two_generations(folder: Path) -> list[Path] | None:
    """Oldest first: of the processes of each rank, then of those that replace them."""
    locks = sorted(folder.glob("*.lock"), key=lambda file: file.stat().st_mtime_ns)
    return locks if len(locks) >= 2 * RANKS else None


def is_held(lock: Path) -> bool:
    with lock.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def test_rewards_that_hang_are_ended_and_end_the_run(
    generator: RunningGenerator, tiny_model: Path, tmp_path: Path
) -> None:
    code = tmp_path / "code"
    code.mkdir()
    (code / "hanging.py").write_text(HANGING)
    data = write_problems(tmp_path / "train.jsonl")
    config = learner_config(tiny_model, data, reward_funcs=["format", "hanging:hang"], max_steps=5)
    config = config.model_copy(update={"rewards": RewardsConfig(timeout_s=2, code=(RewardCode(path=str(code)),))})
    with run_with_generator(generator, tmp_path, config) as pod:
        locks = wait_for("processes in the place of those that hang", lambda: locks_of_two_generations(code), RUN_S)
        wait_for("the end of the first ones", lambda: not any(map(is_held, locks[:RANKS])), 30, interval_s=0.05)
        assert pod.wait(RUN_S) == USER_ERROR_EXIT_CODE, pod.tail()
    assert json.loads(pod.termination_file.read_text()) == {
        "reason": "RewardsFailing",
        "message": "spec.rewards.maxErrorShare: 100 % of the completions of the last 2 steps have no reward because a "
        "reward function failed, which is more than 0.2 of 5 steps; mend the function, or start another run with a higher "
        "maxErrorShare or timeoutSeconds; the last error: hanging:hang: Timeout: a call did not end within 2 s.",
    }
    log = pod.log.read_text()
    assert "step 1/5  reward " not in log  # no completion had one
    # Each rank has processes of its own, and they count what fails on either: 8 completions each, once told.
    assert log.count("hanging:hang gave no score to 16 of 16 completions: Timeout: ") == 1
