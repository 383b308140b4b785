"""A generator that holds other weights than it says: TRL's own metric of a run shows it."""

import json
from pathlib import Path

from harness.daemons import free_port
from trainer.learner_inputs import learner_config, write_problems
from trainer.learner_pod import SOURCES
from trainer.published import IN_SYNC, OUT_OF_SYNC
from trainer.run_with_generator import run_with_generator
from trainer.running_generator import RunningGenerator
from trainer.skipping_learner import SKIPPED
from trainer.test_learner_end_to_end import OWN_REWARD, REWARD

STEPS = 3
RUN_S = 300


def test_the_metric_of_a_run_shows_a_skipped_update(
    generator: RunningGenerator, tiny_model: Path, tmp_path: Path
) -> None:
    (tmp_path / "my_rewards.py").write_text(REWARD)
    data = write_problems(tmp_path / "train.jsonl")
    config = learner_config(tiny_model, data, processes=1, max_steps=STEPS, reward_funcs=[OWN_REWARD])
    rank = {"WORLD_SIZE": "1", "RANK": "0", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1"}
    paths = f"{SOURCES}:{SOURCES.parent / 'tests'}:{tmp_path}"
    environment = {**rank, "MASTER_PORT": str(free_port()), "PYTHONPATH": paths}
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
