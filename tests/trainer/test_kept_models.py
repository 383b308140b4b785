"""Models of the recipe's checkpoints that are kept for benchmarks."""

import os
import shutil
from pathlib import Path

import pytest

from grpo_trainer.storage import kept_models
from grpo_trainer.storage.checkpoint_files import MARKER
from grpo_trainer.storage.checkpoints import Checkpoint
from grpo_trainer.storage.kept_models import KeptModels
from grpo_trainer.storage.marker import Marker

MODEL = {"model.safetensors", "config.json", "tokenizer.json"}


class Told:
    def __init__(self) -> None:
        self.steps: list[list[int]] = []

    def __call__(self, steps: list[int]) -> None:
        self.steps.append(steps)


def write_checkpoint(run: Path, step: int) -> Path:
    folder = run / "checkpoints" / f"checkpoint-{step}"
    (folder / f"global_step{step}").mkdir(parents=True)
    for name in (*MODEL, MARKER, "latest", "rng_state_0.pth", f"global_step{step}/optimizer.pt"):
        (folder / name).write_text(f"{name} of {step}")
    (folder / "model.safetensors").chmod(0o600)
    return folder


def test_a_model_outlives_its_checkpoint_and_takes_no_room_beside_it(tmp_path: Path) -> None:
    told = Told()
    kept = KeptModels(tmp_path / "benchmarks", told)
    for step in (100, 20):
        kept.checkpoint_saved(write_checkpoint(tmp_path, step), step)
    assert told.steps == [[], [100], [20, 100]]
    model = tmp_path / "benchmarks" / "checkpoint-20" / "model"
    assert {path.name for path in model.iterdir()} == MODEL
    assert all(path.stat().st_nlink == 2 for path in model.iterdir())
    assert all(path.stat().st_mode & 0o044 == 0o044 for path in model.iterdir()), "for whoever benchmarks it"
    assert not kept.needs(tmp_path / "checkpoints" / "checkpoint-20")
    shutil.rmtree(tmp_path / "checkpoints")
    assert (model / "model.safetensors").read_text() == "model.safetensors of 20"
    assert not [path for path in (tmp_path / "benchmarks").iterdir() if path.name.startswith(".")]


def test_where_the_volume_has_no_links_it_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "link", refuse)
    KeptModels(tmp_path / "benchmarks", Told()).checkpoint_saved(write_checkpoint(tmp_path, 20), 20)
    model = tmp_path / "benchmarks" / "checkpoint-20" / "model"
    assert {path.name: path.read_text() for path in model.iterdir()} == {name: f"{name} of 20" for name in MODEL}


def test_a_step_that_is_made_again_is_not_kept_again(tmp_path: Path) -> None:
    checkpoint, told = write_checkpoint(tmp_path, 20), Told()
    KeptModels(tmp_path / "benchmarks", told).checkpoint_saved(checkpoint, 20)
    shutil.rmtree(tmp_path / "benchmarks" / "checkpoint-20" / "model")  # it was benchmarked
    (tmp_path / "benchmarks" / "checkpoint-20" / "results").mkdir()
    next_attempt = KeptModels(tmp_path / "benchmarks", told)
    next_attempt.checkpoint_saved(checkpoint, 20)
    assert told.steps == [[], [20], [], []]
    assert not (tmp_path / "benchmarks" / "checkpoint-20" / "model").exists()


def test_what_an_attempt_did_not_come_to_is_kept_by_the_next(tmp_path: Path) -> None:
    """It ended between the checkpoint's marker and the model: the step is not made again."""
    partial = tmp_path / "benchmarks" / ".checkpoint-20.partial" / "model"
    partial.mkdir(parents=True)
    (partial / "model.safetensors").write_text("half")
    saved = [
        Checkpoint(
            write_checkpoint(tmp_path, step),
            Marker(step=step, max_steps=50, time="", for_recovery=True, for_recipe=step < 30),
        )
        for step in (20, 30)
    ]
    told = Told()
    KeptModels(tmp_path / "benchmarks", told, saved)
    assert told.steps == [[20]]
    model = tmp_path / "benchmarks" / "checkpoint-20" / "model" / "model.safetensors"
    assert model.read_text() == "model.safetensors of 20"
    assert not partial.exists()


def test_trouble_with_the_volume_costs_the_benchmark_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(kept_models, "put_in_place", full)
    told = Told()
    KeptModels(tmp_path / "benchmarks", told).checkpoint_saved(write_checkpoint(tmp_path, 20), 20)
    assert told.steps == [[], []]
    assert not list((tmp_path / "benchmarks").iterdir()), "half a model"
    assert caplog.messages == [
        "the model of step 20 is not kept, and will not be benchmarked: [Errno 28] No space left on device"
    ]


def test_the_oldest_give_way_where_checkpoints_come_faster_than_benchmarks(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    told = Told()
    kept = KeptModels(tmp_path / "benchmarks", told)
    for step in range(1, 13):
        kept.checkpoint_saved(write_checkpoint(tmp_path, step), step)
    assert told.steps[-1] == list(range(3, 13))
    assert (tmp_path / "benchmarks" / "checkpoint-1").exists(), "it is not kept again"
    assert caplog.messages == [
        f"the model of step {step} gives way to newer ones: benchmarks are slower than checkpoints" for step in (1, 2)
    ]


def test_other_folders_are_no_models_of_checkpoints(tmp_path: Path) -> None:
    for folder in ("model/results", "somebody/model", "checkpoint-7/model"):
        (tmp_path / folder).mkdir(parents=True)
    assert KeptModels(tmp_path, Told()).steps() == [7]
