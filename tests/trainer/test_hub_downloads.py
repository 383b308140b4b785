"""A run whose model and data set lie on the hub: what it downloads, and that a later attempt finds it on the volume."""

import json
from pathlib import Path

from trainer.hub_files import running_file_hub
from trainer.learner_inputs import OWN_REWARD, learner_config, write_own_reward, write_problems
from trainer.run_with_generator import run_with_generator
from trainer.running_generator import RunningGenerator

RUN_S = 420
MODEL, DATA = "org/tiny", "org/problems"


def test_files_come_once_and_a_restart_downloads_nothing(
    generator: RunningGenerator, tiny_model: Path, tmp_path: Path
) -> None:
    rows = write_problems(tmp_path / "train.jsonl").read_bytes()
    repositories = {
        ("models", MODEL): {file.name: file.read_bytes() for file in tiny_model.iterdir()},
        ("datasets", DATA): {"train.jsonl": rows},
    }
    with running_file_hub(repositories) as hub:
        run(tmp_path, generator, hub.environment)
        files = [f"{name}/{path}" for (_, name), content in repositories.items() for path in content]
        assert sorted(hub.sent) == sorted(files)  # once, although two ranks ask for them
        forget_the_model(tmp_path)
        run(tmp_path, generator, hub.environment)
        assert sorted(hub.sent) == sorted(files)


def run(folder: Path, generator: RunningGenerator, environment: dict[str, str]) -> None:
    write_own_reward(folder)
    config = learner_config(Path(MODEL), Path(DATA), max_steps=2, every_steps=5, reward_funcs=[OWN_REWARD])
    with run_with_generator(generator, folder, config, environment) as pod:
        assert pod.wait(RUN_S) == 0, pod.tail()
    (model,) = (folder / "volume" / "runs").glob("*/model")
    assert json.loads((model / "trainer_state.json").read_text())["global_step"] == 2


def forget_the_model(folder: Path) -> None:
    """As if the attempt had been lost before its first checkpoint."""
    (model,) = (folder / "volume" / "runs").glob("*/model")
    model.rename(model.with_name("model-of-the-first-attempt"))
