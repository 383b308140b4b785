"""A learner pod of two ranks whose reward function hangs: how the run ends, and what it leaves."""

import json
from pathlib import Path

from grpo_contract.config import RewardCode, RewardsConfig
from grpo_contract.failure import USER_ERROR_EXIT_CODE
from harness.waiting import wait_for
from trainer.learner_inputs import learner_config, write_problems
from trainer.run_with_generator import run_with_generator
from trainer.running_generator import RunningGenerator

RUN_S = 400
HANGING = """
import os, pathlib, time
pathlib.Path(__file__).with_name(f"{os.getpid()}.pid").touch()
def hang(completions, **columns):
    while True:
        time.sleep(1)
"""


def test_rewards_that_hang_end_the_run_and_leave_nothing(
    generator: RunningGenerator, tiny_model: Path, tmp_path: Path
) -> None:
    code = tmp_path / "code"
    code.mkdir()
    (code / "hanging.py").write_text(HANGING)
    data = write_problems(tmp_path / "train.jsonl")
    config = learner_config(tiny_model, data, reward_funcs=["format", "hanging:hang"], max_steps=5)
    config = config.model_copy(update={"rewards": RewardsConfig(timeout_s=2, code=(RewardCode(path=str(code)),))})
    with run_with_generator(generator, tmp_path, config) as pod:
        assert pod.wait(RUN_S) == USER_ERROR_EXIT_CODE, pod.tail()
    assert json.loads(pod.termination_file.read_text()) == {
        "reason": "RewardsFailing",
        "message": "spec.rewards.maxErrorShare: 100 % of the completions of the last 2 steps have no reward because a "
        "reward function failed, which is more than 0.2 of 5 steps; mend the function, or start another run with a higher "
        "maxErrorShare or timeoutSeconds; the last error: hanging:hang: Timeout: a call did not end within 2 s.",
    }
    assert "step 1/5  reward " not in pod.log.read_text()  # no completion had one
    processes = [int(file.stem) for file in code.glob("*.pid")]
    assert len(processes) >= 2 * 2  # of two ranks, before and after the first call was ended
    wait_for("their end", lambda: not any(Path(f"/proc/{process}").exists() for process in processes), 10)
