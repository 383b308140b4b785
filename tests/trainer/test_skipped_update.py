"""A generator that holds other weights than it says: a run's metric shows it, TRL's own or, without its correction, ours."""

import json
from pathlib import Path

import pytest

from harness.daemons import free_port
from trainer.learner_inputs import OWN_REWARD, learner_config, write_own_reward, write_problems
from trainer.learner_pod import ONE_RANK, WITH_TESTS
from trainer.published import IN_SYNC, OUT_OF_SYNC
from trainer.run_with_generator import run_with_generator
from trainer.running_generator import RunningGenerator
from trainer.skipping_learner import SKIPPED

STEPS = 3
RUN_S = 300


@pytest.mark.parametrize("is_corrected", [True, False])
def test_the_metric_of_a_run_shows_a_skipped_update(
    is_corrected: bool, generator: RunningGenerator, tiny_model: Path, tmp_path: Path
) -> None:
    write_own_reward(tmp_path)
    config = learner_config(
        tiny_model,
        write_problems(tmp_path / "train.jsonl"),
        processes=1,
        max_steps=STEPS,
        reward_funcs=[OWN_REWARD],
        vllm_importance_sampling_correction=is_corrected,
    )
    environment = ONE_RANK | {"MASTER_PORT": str(free_port()), "PYTHONPATH": f"{WITH_TESTS}:{tmp_path}"}
    program = [str(Path(__file__).with_name("skipping_learner.py"))]
    with run_with_generator(generator, tmp_path, config, environment, program) as pod:
        assert pod.wait(RUN_S) == 0, pod.tail()
        (run_folder,) = (pod.volume / "runs").iterdir()

    history = json.loads((run_folder / "model" / "trainer_state.json").read_text())["log_history"]
    differences = [entry["sampling/sampling_logp_difference/max"] for entry in history if "reward" in entry]
    assert len(differences) == STEPS
    skipped = differences.pop(SKIPPED - 1)
    assert skipped > OUT_OF_SYNC
    assert max(differences) < IN_SYNC
