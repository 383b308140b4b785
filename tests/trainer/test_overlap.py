"""Generators write the next batches while learners learn: two ranks, a real generator, more than two epochs."""

import shutil
from pathlib import Path
from typing import Any

import datasets
import pytest

from grpo_contract.config import RunConfig
from grpo_contract.network import UNSET_WEIGHT_VERSION
from harness.waiting import wait_for
from trainer.finished_run import RUN_S, SEED, Finished, batches_in_order, run
from trainer.learner_inputs import OWN_REWARD, learner_config, write_own_reward, write_problems
from trainer.run_with_generator import run_with_generator
from trainer.running_generator import RunningGenerator, requests_running

STEPS = 8
RESUMED_FROM = 4
LOST_S = 300


def config_of(model: Path, folder: Path, max_staleness: int, **recipe: Any) -> RunConfig:
    own = {
        "max_steps": STEPS,
        "learning_rate": 1e-4,
        "log_completions": True,
        "seed": SEED,
        "reward_funcs": [OWN_REWARD],
    }
    keys: Any = own | recipe
    config = learner_config(model, write_problems(folder / "train.jsonl"), **keys)
    generators = config.generators.model_copy(update={"max_staleness": max_staleness})
    return config.model_copy(update={"generators": generators})


@pytest.fixture(scope="module")
def one_ahead(
    generator: RunningGenerator, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[RunConfig, Finished]:
    folder = tmp_path_factory.mktemp("ahead")
    config = config_of(tiny_model, folder, max_staleness=1)
    return config, run(generator, folder, config)


def test_every_batch_but_the_first_was_asked_for_one_version_earlier(one_ahead: tuple[RunConfig, Finished]) -> None:
    steps = one_ahead[1].steps()
    assert [step["step"] for step in steps] == list(range(1, STEPS + 1))
    assert steps[0]["staleness/max"] == 0
    assert max(step["staleness/max"] for step in steps) == 1


def test_training_sees_the_rows_in_the_order_of_a_run_without_overlap(one_ahead: tuple[RunConfig, Finished]) -> None:
    prompts = one_ahead[1].prompts()
    assert [prompts[step] for step in range(1, STEPS + 1)] == batches_in_order(STEPS)


def test_the_difference_to_the_samplers_weights_is_that_of_a_step(one_ahead: tuple[RunConfig, Finished]) -> None:
    first, *later = one_ahead[1].steps()
    assert first["sampling/sampling_logp_difference/max"] < 1e-4
    for step in later:  # a few tokens differ by more than a nat
        assert 1e-4 < step["sampling/sampling_logp_difference/mean"] < 0.05


def test_an_attempt_goes_on_and_looks_ahead_again(
    one_ahead: tuple[RunConfig, Finished], generator: RunningGenerator, tmp_path: Path
) -> None:
    config, first = one_ahead
    shutil.copytree(first.volume, tmp_path / "volume")
    lost = Finished(tmp_path / "volume")
    shutil.rmtree(lost.folder / "model")
    for step in range(RESUMED_FROM + 1, STEPS + 1):
        shutil.rmtree(lost.folder / "checkpoints" / f"checkpoint-{step}", ignore_errors=True)
    shutil.rmtree(lost.folder / "checkpoints" / "completions")
    steps = run(generator, tmp_path, config).steps()[RESUMED_FROM:]
    assert [step["step"] for step in steps] == list(range(RESUMED_FROM + 1, STEPS + 1))
    assert steps[0]["staleness/max"] == 0
    assert max(step["staleness/max"] for step in steps) == 1
    prompts = lost.prompts()
    assert [prompts[step] for step in range(RESUMED_FROM + 1, STEPS + 1)] == batches_in_order(STEPS)[RESUMED_FROM:]


def test_nothing_is_too_stale_that_was_written_again_with_late_weights(
    generator: RunningGenerator, tiny_model: Path, tmp_path: Path
) -> None:
    """The generator says what a restarted one says, while it writes."""
    num_steps = 4 * STEPS  # so many that it is caught at writing in one of them
    config = config_of(tiny_model, tmp_path, max_staleness=1, max_completion_length=64, max_steps=num_steps)
    write_own_reward(tmp_path)
    with run_with_generator(generator, tmp_path, config) as pod:

        def has_lost_groups() -> bool:
            assert pod.process.poll() is None, pod.tail()
            log = pod.log.read_text()
            if f"step 2/{num_steps}" in log and requests_running(generator):
                generator.post("/update_weight_version", {"new_version": UNSET_WEIGHT_VERSION})
            return f"groups of generator {generator.name} go elsewhere" in log

        wait_for("it has lost what it was writing", has_lost_groups, LOST_S, interval_s=0.1)
        assert pod.wait(RUN_S) == 0, pod.tail()
    finished = Finished(pod.volume)
    steps = finished.steps()
    assert [finished.prompts()[step["step"]] for step in steps] == batches_in_order(num_steps)
    assert max(step["staleness/max"] for step in steps) == 1
    assert max(step["sampling/sampling_logp_difference/mean"] for step in steps) < 0.05


def test_two_versions_ahead_with_batches_that_are_learnt_from_again(
    generator: RunningGenerator, tiny_model: Path, tmp_path: Path
) -> None:
    """Two micro-steps to a step, four to a generation batch, and evaluations in between, which are of the newest weights."""
    files = {split: str(write_problems(tmp_path / f"{split}.jsonl")) for split in ("train", "test")}
    datasets.load_dataset("json", data_files=files, cache_dir=str(tmp_path / "cache")).save_to_disk(tmp_path / "data")
    config = config_of(
        tiny_model,
        tmp_path,
        max_staleness=2,
        dataset_name=str(tmp_path / "data"),
        per_device_train_batch_size=4,
        gradient_accumulation_steps=2,
        num_iterations=2,
        eval_strategy="steps",
        eval_steps=3,
        num_generations_eval=2,
        per_device_eval_batch_size=2,
    )
    finished = run(generator, tmp_path, config)
    steps = finished.steps()
    assert [step["step"] for step in steps] == [1, 3, 5, 7]
    assert 0 < max(step["staleness/max"] for step in steps) <= 2
    assert [finished.prompts()[step["step"]] for step in steps] == batches_in_order(len(steps))
    evaluations = finished.history("eval_reward")
    assert [entry["step"] for entry in evaluations] == [3, 6, 8]
    assert max(entry["eval_sampling/sampling_logp_difference/max"] for entry in evaluations) < 1e-4
