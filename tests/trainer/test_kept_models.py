"""Models of the recipe's checkpoints that are kept for benchmarks."""

import os
import shutil
from pathlib import Path

import pytest

from grpo_trainer import kept_models
from grpo_trainer.checkpoint_files import MARKER
from grpo_trainer.kept_models import KeptModels

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
    assert told.steps == [[], [20], []]
    assert not (tmp_path / "benchmarks" / "checkpoint-20" / "model").exists()


def test_what_an_attempt_left_half_done_is_made_anew(tmp_path: Path) -> None:
    partial = tmp_path / "benchmarks" / ".checkpoint-20.partial" / "model"
    partial.mkdir(parents=True)
    (partial / "model.safetensors").write_text("half")
    told = Told()
    KeptModels(tmp_path / "benchmarks", told).checkpoint_saved(write_checkpoint(tmp_path, 20), 20)
    assert told.steps == [[], [20]]
    model = tmp_path / "benchmarks" / "checkpoint-20" / "model" / "model.safetensors"
    assert model.read_text() == "model.safetensors of 20"
    assert not partial.exists()


def test_trouble_with_the_volume_costs_the_benchmark_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(kept_models, "flush", full)
    told = Told()
    KeptModels(tmp_path / "benchmarks", told).checkpoint_saved(write_checkpoint(tmp_path, 20), 20)
    assert told.steps == [[], []]
    assert caplog.messages == [
        "the model of step 20 is not kept, and will not be benchmarked: [Errno 28] No space left on device"
    ]


def test_no_more_are_told_than_fit_into_what_a_pod_leaves(tmp_path: Path) -> None:
    for step in range(1, 131):
        (tmp_path / f"checkpoint-{step}" / "model").mkdir(parents=True)
    (tmp_path / "model" / "results").mkdir(parents=True)
    (tmp_path / "somebody" / "model").mkdir(parents=True)
    assert KeptModels(tmp_path, Told()).steps() == list(range(1, 101))
