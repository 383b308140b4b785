"""ZeRO-3 on two gloo ranks: the same numbers as plain DDP, half of everything on each rank, a resume digit for digit."""

import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import pytest
from accelerate.state import AcceleratorState
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from grpo_contract.config import RunConfig
from grpo_trainer import training
from grpo_trainer.instruments.metrics import LearnerMetrics
from grpo_trainer.instruments.progress import ProgressBoard
from grpo_trainer.storage import final_model
from grpo_trainer.storage.checkpoint_files import MARKER
from trainer.learner_inputs import NUM_PROBLEMS, learner_config, write_problems
from trainer.learner_pod import WITH_TESTS, LearnerPod
from trainer.ranks import RUN_S, TWO_RANKS

SCRIPTED = Path(__file__).with_name("scripted_learner.py")
STEPS = 8
RESUMED_FROM = 4

Logs = list[dict[str, Any]]


@dataclass
class Finished:
    """A run that ended well."""

    config: RunConfig
    folder: Path

    @property
    def run_folder(self) -> Path:
        (folder,) = (self.folder / "volume" / "runs").iterdir()
        return folder

    @property
    def model(self) -> Path:
        return self.run_folder / "model"

    def history(self) -> Logs:
        history: Logs = json.loads((self.model / "trainer_state.json").read_text())["log_history"]
        return history

    def steps(self) -> Logs:
        return [entry for entry in self.history() if "reward" in entry]

    def held(self) -> list[dict[str, int]]:
        return [json.loads((self.folder / f"rank{rank}.json").read_text()) for rank in (0, 1)]


def run(
    folder: Path, config: RunConfig, mode: str, program: Path = SCRIPTED, env: Mapping[str, str] | None = None
) -> Finished:
    pod = LearnerPod(
        folder,
        config,
        program=[*TWO_RANKS, str(program)],
        arguments=[mode, str(folder)],
        env={"PYTHONPATH": WITH_TESTS, **(env or {})},
    )
    try:
        assert pod.wait(RUN_S) == 0, pod.tail()
    finally:
        pod.kill()
    return Finished(config, folder)


def without_model(finished: Finished, folder: Path, *incomplete: int) -> Finished:
    """Another attempt of that run, whose pods were lost before the model was saved; these checkpoints are not complete."""
    shutil.copytree(finished.folder / "volume", folder / "volume")
    copy = Finished(finished.config, folder)
    shutil.rmtree(copy.model)
    for step in incomplete:
        (copy.run_folder / "checkpoints" / f"checkpoint-{step}" / MARKER).unlink()
    return copy


def numbers(run: Finished) -> Logs:
    """Of each step, but for how long it took."""
    return [{key: value for key, value in entry.items() if key != "step_time"} for entry in run.steps()]


@pytest.fixture(scope="module")
def config(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> RunConfig:
    """12 problems, 4 a step: the 8 steps are almost three epochs."""
    data = write_problems(tmp_path_factory.mktemp("data") / "train.jsonl")
    # The script's log-probabilities are no model's: no correction for them.
    return learner_config(tiny_model, data, max_steps=STEPS, vllm_importance_sampling_correction=False)


@pytest.fixture(scope="module")
def zero3(config: RunConfig, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    return run(tmp_path_factory.mktemp("zero3"), config, "zero3")


@pytest.fixture(scope="module")
def ddp(config: RunConfig, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    return run(tmp_path_factory.mktemp("ddp"), config, "ddp")


@pytest.fixture(scope="module")
def evaluated(config: RunConfig, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """The same run, which evaluates: 3 rows x 2 completions, in batches of 2 ranks x 2."""
    folder = tmp_path_factory.mktemp("evaluated")
    splits = {"train": "train.jsonl", "test": "test.jsonl"}
    write_problems(folder / splits["train"])
    write_problems(folder / splits["test"], count=3)
    files = {split: str(folder / file) for split, file in splits.items()}
    datasets.load_dataset("json", data_files=files, cache_dir=str(folder / "cache")).save_to_disk(folder / "data")
    recipe = {
        "dataset_name": str(folder / "data"),
        "eval_strategy": "steps",
        "eval_steps": 3,
        "eval_on_start": True,
        "per_device_eval_batch_size": 2,
        "num_generations_eval": 2,
        "log_completions": True,
    }
    evaluating = config.model_copy(update={"recipe": config.recipe | recipe})
    return run(folder, evaluating, "zero3")


@pytest.fixture(scope="module")
def resumed(evaluated: Finished, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """That run, whose pods were lost while they wrote the checkpoint of step 6."""
    folder = tmp_path_factory.mktemp("resumed")
    shutil.rmtree(without_model(evaluated, folder, 6).run_folder / "checkpoints" / "checkpoint-8")
    return run(folder, evaluated.config, "zero3")


def test_losses_are_those_of_ddp(zero3: Finished, ddp: Finished) -> None:
    for with_zero3, plain in zip(zero3.steps(), ddp.steps(), strict=True):
        assert with_zero3["reward"] == plain["reward"]
        assert with_zero3["loss"] == pytest.approx(plain["loss"], abs=1e-6)
        assert with_zero3["kl"] == pytest.approx(plain["kl"], abs=1e-5)
        assert with_zero3["grad_norm"] == pytest.approx(plain["grad_norm"], rel=1e-4)
    assert len(zero3.steps()) == STEPS
    assert max(abs(entry["loss"]) for entry in zero3.steps()) > 0.01
    assert zero3.steps()[-1]["kl"] > 0.1  # it learns: the numbers that agree are not those of a model that stands still


def told(run: Finished) -> list[tuple[int, int, int]]:
    """(rank, parameters that it says it holds, parameters of the model), one for each line in the log."""
    lines = re.findall(
        r"ZeRO-3: rank (\d) of 2 holds (\d+) of (\d+) parameters", (run.folder / "learner.log").read_text()
    )
    return sorted((int(rank), int(held), int(whole)) for rank, held, whole in lines)


@pytest.fixture(scope="module")
def whole(tiny_model: Path) -> int:
    """Parameters of the model, as its file has them; tied embeddings are in it once."""
    return sum(weight.numel() for weight in load_file(tiny_model / "model.safetensors").values())


def test_each_rank_says_what_it_holds(zero3: Finished, ddp: Finished, whole: int) -> None:
    assert told(zero3) == [(rank, whole // 2, whole) for rank in (0, 1)]
    assert told(ddp) == [(rank, whole, whole) for rank in (0, 1)]


def test_each_rank_holds_half(zero3: Finished, ddp: Finished, whole: int) -> None:
    half = {"parameters": whole // 2, "optimizer": whole}  # two moments, of half of the parameters each
    assert zero3.held() == [half, half]
    all_of_it = {"parameters": whole, "optimizer": 2 * whole}
    assert ddp.held() == [all_of_it, all_of_it]


def test_a_resumed_run_continues_digit_for_digit(zero3: Finished, resumed: Finished) -> None:
    assert f"resuming from the checkpoint of step {RESUMED_FROM}" in (resumed.folder / "learner.log").read_text()
    assert numbers(resumed) == numbers(zero3)
    assert (resumed.model / "model.safetensors").read_bytes() == (zero3.model / "model.safetensors").read_bytes()


def test_checkpoints_of_the_resumed_run(resumed: Finished) -> None:
    *checkpoints, completions, newest = sorted((resumed.run_folder / "checkpoints").iterdir())
    assert (completions.name, newest.name, newest.read_text()) == ("completions", "newest-step", "8")
    assert [checkpoint.name for checkpoint in checkpoints] == [f"checkpoint-{step}" for step in (2, 4, 6, 8)]
    assert all((checkpoint / MARKER).exists() for checkpoint in checkpoints)


def test_the_trained_model_is_complete_and_loads(zero3: Finished, tiny_model: Path) -> None:
    assert sorted(path.name for path in zero3.model.iterdir()) == [
        "README.md",
        "chat_template.jinja",
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
        "train_results.json",
        "trainer_state.json",
        "training_args.bin",
    ]
    trained, base = load_file(zero3.model / "model.safetensors"), load_file(tiny_model / "model.safetensors")
    assert trained.keys() == base.keys()
    assert all((trained[name] != base[name]).any() for name in base)
    assert AutoModelForCausalLM.from_pretrained(zero3.model).config.use_cache is True


def test_the_results_are_those_of_transformers(zero3: Finished) -> None:
    results = json.loads((zero3.model / "train_results.json").read_text())
    (summary,) = (entry for entry in zero3.history() if "train_runtime" in entry)
    assert {"train_runtime", "train_loss", "train_steps_per_second", "total_flos"} <= results.keys()
    assert results == {key: summary[key] for key in results.keys() - {"train_samples"}} | {
        "train_samples": NUM_PROBLEMS
    }


def test_an_attempt_after_the_model_was_saved_changes_nothing(
    zero3: Finished, config: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "checkpoint_folder", lambda name, uid: Path("/nowhere"))
    monkeypatch.setattr(final_model, "model_folder", lambda name, uid: zero3.model)
    board = ProgressBoard(2)
    before = {path.name: path.stat().st_mtime_ns for path in zero3.model.iterdir()}

    assert training.train(config, LearnerMetrics(None), board) == zero3.model
    AcceleratorState._reset_state(reset_partial_state=True)

    assert (board.read().progress.step, board.read().progress.max_steps) == (STEPS, STEPS)
    assert {path.name: path.stat().st_mtime_ns for path in zero3.model.iterdir()} == before


def test_an_attempt_after_the_last_step_only_saves_the_model(
    zero3: Finished, config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_folder = tmp_path / "run"
    shutil.copytree(zero3.run_folder, run_folder)
    shutil.rmtree(run_folder / "model")
    monkeypatch.setattr(training, "checkpoint_folder", lambda name, uid: run_folder / "checkpoints")
    monkeypatch.setattr(final_model, "model_folder", lambda name, uid: run_folder / "model")
    board = ProgressBoard(2)

    assert training.train(config, LearnerMetrics(None), board) == run_folder / "model"
    AcceleratorState._reset_state(reset_partial_state=True)

    assert (board.read().progress.step, board.read().progress.max_steps) == (STEPS, STEPS)
    names = {path.name for path in zero3.model.iterdir()} - {"train_results.json"}
    assert {path.name for path in (run_folder / "model").iterdir()} == names
    for name in names - {"trainer_state.json", "training_args.bin"}:
        assert (run_folder / "model" / name).read_bytes() == (zero3.model / name).read_bytes(), name


def test_training_is_the_same_with_evaluations_in_between(zero3: Finished, evaluated: Finished) -> None:
    assert told(evaluated) == told(zero3)
    for key in ("loss", "reward", "kl", "grad_norm", "entropy", "completions/mean_length"):
        assert [entry[key] for entry in evaluated.steps()] == [entry[key] for entry in zero3.steps()]


def evaluations_of(run: Finished) -> Logs:
    return [entry for entry in run.history() if "eval_reward" in entry]


def test_evaluations(evaluated: Finished) -> None:
    evaluations = evaluations_of(evaluated)
    assert [entry["step"] for entry in evaluations] == [0, 3, 6, 8]
    results = json.loads((evaluated.model / "eval_results.json").read_text())
    assert results["eval_samples"] == 3
    assert results["eval_reward"] == evaluations[-1]["eval_reward"]
    assert f"After step {STEPS}:\n\n| | mean of the evaluation |" in (evaluated.model / "README.md").read_text()
    assert {file.name for file in evaluated.model.iterdir() if file.name.endswith(".partial")} == set()


def test_a_resumed_run_evaluates_what_is_left(evaluated: Finished, resumed: Finished) -> None:
    def rewards(run: Finished) -> list[tuple[int, float]]:
        return [(entry["step"], entry["eval_reward"]) for entry in evaluations_of(run)]

    assert rewards(resumed) == rewards(evaluated)
