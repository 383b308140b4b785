"""The folder of the trained model: whole or absent, and nothing of another attempt in it."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from grpo_trainer import final_model
from grpo_trainer.final_model import partial_of, save_final_model
from trainer.learner_inputs import learner_config


class WritingLearner:
    """As much of a learner as saving needs."""

    def __init__(self) -> None:
        self.model = SimpleNamespace(config=SimpleNamespace(use_cache=False))
        self.accelerator = SimpleNamespace(wait_for_everyone=lambda: None)
        self.state = SimpleNamespace(save_to_json=lambda file: Path(file).write_text(json.dumps({"log_history": []})))

    def is_world_process_zero(self) -> bool:
        return True

    def save_model(self, folder: str) -> None:
        Path(folder).mkdir(exist_ok=True)
        (Path(folder) / "model.safetensors").write_text("trained")


def test_what_an_attempt_left_half_written_is_no_part_of_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(final_model, "model_folder", lambda name, uid: tmp_path / "model")
    left = partial_of(tmp_path / "model")
    left.mkdir()
    (left / "model-00001-of-00002.safetensors").write_text("of an attempt that ended while it wrote")
    learner: Any = WritingLearner()
    folder = save_final_model(learner, learner_config(tmp_path / "base", tmp_path / "train.jsonl"))
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "model.safetensors", "trainer_state.json"]
    assert not left.exists()
