"""The folder of the trained model: whole or absent, and nothing of another attempt in it."""

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from accelerate.state import AcceleratorState

from grpo_contract import environment
from grpo_contract.failure import RunFailure
from grpo_trainer.storage import fence, final_model
from grpo_trainer.storage.checkpoints import Checkpoint
from grpo_trainer.storage.final_model import FinalModel, find_final_model, partial_of, publish, save_final_model
from grpo_trainer.storage.marker import Marker
from trainer.learner_inputs import learner_config

FILES = ["README.md", "model.safetensors", "train_results.json", "trainer_state.json"]
STATE = {"global_step": 8, "max_steps": 8, "log_history": [], "stateful_callbacks": {}}
RESULTS = {"train_runtime": 12.5, "train_loss": 0.25}


class WritingLearner:
    """As much of a learner as saving needs."""

    def __init__(self) -> None:
        self.model = SimpleNamespace(config=SimpleNamespace(use_cache=False))
        self.accelerator = SimpleNamespace(wait_for_everyone=lambda: None)
        self.state = SimpleNamespace(save_to_json=lambda file: Path(file).write_text(json.dumps(STATE)))
        self.trained_step = 8

    def is_world_process_zero(self) -> bool:
        return True

    def save_model(self, folder: str) -> None:
        Path(folder).mkdir(exist_ok=True)
        weights = Path(folder) / "model.safetensors"
        weights.write_text("trained")
        weights.chmod(0o600)  # as safetensors writes it


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(final_model, "model_folder", lambda name, uid: tmp_path / "model")


@pytest.fixture
def flushed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bool]]:
    """What was written through to the volume, and whether the model's folder had its name by then."""
    paths: list[tuple[str, bool]] = []

    def note(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        paths.append((str(path.relative_to(tmp_path)), (tmp_path / "model").exists()))

    monkeypatch.setattr(os, "fsync", note)
    return paths


def test_what_an_attempt_left_half_written_is_no_part_of_the_model(tmp_path: Path) -> None:
    left = partial_of(tmp_path / "model")
    left.mkdir()
    (left / "model-00001-of-00002.safetensors").write_text("of an attempt that ended while it wrote")
    learner: Any = WritingLearner()
    folder = save_final_model(learner, learner_config(tmp_path / "base", tmp_path / "train.jsonl"), RESULTS)
    assert sorted(path.name for path in folder.iterdir()) == FILES
    assert not left.exists()
    assert json.loads((folder / "train_results.json").read_text()) == RESULTS


def test_weights_may_be_read_by_whom_the_other_files_may(tmp_path: Path) -> None:
    save(tmp_path)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "model").iterdir()}
    assert modes == {0o644}


def save(folder: Path) -> None:
    learner: Any = WritingLearner()
    save_final_model(learner, learner_config(folder / "base", folder / "train.jsonl"), RESULTS)


def last_checkpoint(folder: Path, state: dict[str, Any] = STATE, best_step: int | None = None) -> Checkpoint:
    for step in {6, 8}:
        checkpoint = folder / f"checkpoint-{step}"
        checkpoint.mkdir()
        (checkpoint / "model.safetensors").write_text(f"of step {step}")
        for needed_to_resume in ("scheduler.pt", "entropy_ctrl_state.json"):
            (checkpoint / needed_to_resume).touch()
        (checkpoint / "trainer_state.json").write_text(json.dumps(state if step == 8 else STATE | {"global_step": 6}))
    marker = Marker(
        step=8, max_steps=state["max_steps"], time="", for_recovery=True, for_recipe=False, best_step=best_step
    )
    return Checkpoint(folder / "checkpoint-8", marker)


def publish_checkpoint(folder: Path) -> None:
    checkpoint = last_checkpoint(folder)
    try:
        publish(checkpoint, learner_config(folder / "base", folder / "train.jsonl"))
    finally:
        AcceleratorState._reset_state(reset_partial_state=True)


@pytest.mark.parametrize("write", [save, publish_checkpoint])
def test_what_a_later_attempt_is_writing_stays_as_it_is(
    write: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(environment.ATTEMPT, "3")
    fence.take_over(tmp_path)
    being_written = partial_of(tmp_path / "model")
    being_written.mkdir()
    (being_written / "model.safetensors").write_text("of attempt 3")
    monkeypatch.setenv(environment.ATTEMPT, "2")
    with pytest.raises(RunFailure, match="attempt 2 writes nothing more, and ends; there is nothing to do"):
        write(tmp_path)
    assert [path.name for path in being_written.iterdir()] == ["model.safetensors"]
    assert (being_written / "model.safetensors").read_text() == "of attempt 3"


def test_the_model_is_on_the_volume_before_it_has_its_name(tmp_path: Path, flushed: list[tuple[str, bool]]) -> None:
    learner: Any = WritingLearner()
    save_final_model(learner, learner_config(tmp_path / "base", tmp_path / "train.jsonl"), RESULTS)
    assert {path for path, has_name in flushed if not has_name} == {
        ".model.partial",
        *(f".model.partial/{file}" for file in FILES),
    }
    assert [path for path, has_name in flushed if has_name] == ["."]


def test_the_model_is_that_of_the_best_step_and_its_curve_that_of_all(tmp_path: Path) -> None:
    why = "eval_reward did not rise above its best in the last evaluation"
    stopped = {"EarlyStopping": {"attributes": {"ended_early": why}}}
    state = STATE | {"max_steps": 40, "best_metric": 0.5, "stateful_callbacks": stopped}
    checkpoint = last_checkpoint(tmp_path, state, best_step=6)
    config = learner_config(tmp_path / "base", tmp_path / "train.jsonl", metric_for_best_model="reward")
    published = publish(checkpoint, config)
    folder = published.folder
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "model.safetensors", "trainer_state.json"]
    assert (folder / "model.safetensors").read_text() == "of step 6"
    assert json.loads((folder / "trainer_state.json").read_text()) == state
    assert f"ended early, at step 8 of 40: {why}." in (folder / "README.md").read_text()
    assert "Of the 8 steps made, the weights are those of step 6" in (folder / "README.md").read_text()
    assert find_final_model(config) == FinalModel(folder, 8, 40, why, is_evaluated=False)
    AcceleratorState._reset_state(reset_partial_state=True)
