"""A run goes on with another number of ranks: from the same checkpoint, with the same batches, so with the same numbers but for
rounding."""

import shutil
from pathlib import Path

import pytest
import torch
from accelerate import PartialState
from accelerate.state import AcceleratorState
from safetensors.torch import load_file

from grpo_contract.config import RunConfig
from grpo_contract.failure import RunFailure
from grpo_trainer.batches import Batches, divided
from grpo_trainer.storage.checkpoint_files import LATEST
from grpo_trainer.storage.other_ranks import make_universal
from trainer.learner_inputs import learner_config, write_problems
from trainer.learner_pod import WITH_TESTS, LearnerPod
from trainer.ranks import RUN_S
from trainer.test_zero3 import SCRIPTED, Finished, without_model

STEPS = 8


@pytest.fixture(scope="module")
def config(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> RunConfig:
    """12 problems, 4 a step. Norms and biases do not decay."""
    data = write_problems(tmp_path_factory.mktemp("data") / "train.jsonl")
    # The script's log-probabilities are no model's: no correction for them.
    return learner_config(
        tiny_model, data, max_steps=STEPS, weight_decay=1.0, vllm_importance_sampling_correction=False
    )


def run_on(num_ranks: int, folder: Path, config: RunConfig) -> Finished:
    learners = config.learners.model_copy(update={"processes_per_pod": num_ranks})
    pod = LearnerPod(
        folder,
        config := config.model_copy(update={"learners": learners}),
        program=["-m", "trainer.ranks", str(num_ranks), str(SCRIPTED)],
        arguments=["zero3", str(folder)],
        env={"PYTHONPATH": WITH_TESTS},
    )
    try:
        assert pod.wait(RUN_S) == 0, pod.tail()
    finally:
        pod.kill()
    return Finished(config, folder)


def go_on(num_ranks: int, before: Finished, folder: Path, step: int) -> Finished:
    """From its checkpoint of that step."""
    checkpoints = without_model(before, folder).run_folder / "checkpoints"
    for checkpoint in checkpoints.glob("checkpoint-*"):
        if int(checkpoint.name.removeprefix("checkpoint-")) > step:
            shutil.rmtree(checkpoint)
    finished = run_on(num_ranks, folder, before.config)
    assert f"resuming from the checkpoint of step {step}" in (folder / "learner.log").read_text()
    return finished


@pytest.fixture(scope="module")
def on_two(config: RunConfig, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    return run_on(2, tmp_path_factory.mktemp("two"), config)


@pytest.fixture(scope="module")
def on_one(on_two: Finished, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """From step 4 on."""
    return go_on(1, on_two, tmp_path_factory.mktemp("one"), step=4)


@pytest.fixture(scope="module")
def on_one_again(on_one: Finished, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """Another attempt, from step 6 on."""
    return go_on(1, on_one, tmp_path_factory.mktemp("one-again"), step=6)


@pytest.fixture(scope="module")
def on_two_again(on_one: Finished, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """From step 6 on."""
    return go_on(2, on_one, tmp_path_factory.mktemp("again"), step=6)


def assert_is_alike(run: Finished, expected: Finished) -> None:
    assert [entry["step"] for entry in run.steps()] == list(range(1, STEPS + 1))
    for own, other in zip(run.steps(), expected.steps(), strict=True):
        assert own["reward"] == pytest.approx(other["reward"], rel=1e-6)
        assert own["num_tokens"] == other["num_tokens"]
        assert own["learning_rate"] == other["learning_rate"]
        assert own["loss"] == pytest.approx(other["loss"], abs=1e-6)
        assert own["kl"] == pytest.approx(
            other["kl"], rel=1e-2
        )  # a mean of passes' means, which are of other completions
        assert own["grad_norm"] == pytest.approx(other["grad_norm"], rel=1e-5)
    weights, other_weights = (load_file(each.model / "model.safetensors") for each in (run, expected))
    for name, weight in weights.items():
        torch.testing.assert_close(weight, other_weights[name], rtol=0, atol=1e-5)


def test_one_rank_goes_on_where_two_were(on_two: Finished, on_one: Finished) -> None:
    log = (on_one.folder / "learner.log").read_text()
    assert "the checkpoint of step 4 is of 2 ranks: each of the 1 now makes 2 passes of 8 completions a step" in log
    assert_is_alike(on_one, on_two)


def test_two_ranks_go_on_where_one_was(on_two: Finished, on_two_again: Finished) -> None:
    log = (on_two_again.folder / "learner.log").read_text()
    assert "the checkpoint of step 6 is of 1 ranks: each of the 2 now makes 1 passes of 8 completions a step" in log
    assert_is_alike(on_two_again, on_two)


def test_a_later_attempt_with_as_many_ranks_has_the_same_batches(on_two: Finished, on_one_again: Finished) -> None:
    log = (on_one_again.folder / "learner.log").read_text()
    assert "the checkpoint of step 6 is of 1 ranks: each of the 1 now makes 2 passes of 8 completions a step" in log
    assert_is_alike(on_one_again, on_two)


def optimizer_states(run: Finished, step: int) -> list[list[tuple[float, float, int]]]:
    """Of each rank, of each group of parameters: its decay, how many steps it has counted, and of how many numbers it has the
    moments."""
    checkpoint = run.run_folder / "checkpoints" / f"checkpoint-{step}"
    files = sorted((checkpoint / (checkpoint / LATEST).read_text()).glob("*_optim_states.pt"))
    of_ranks = [torch.load(file, weights_only=False)["optimizer_state_dict"]["optimizer_state_dict"] for file in files]
    return [
        [
            (group["weight_decay"], float(of["step"]), of["exp_avg"].numel())
            for group, of in zip(states["param_groups"], states["state"].values(), strict=True)
        ]
        for states in of_ranks
    ]


def test_the_optimizer_goes_on_where_it_was(on_two: Finished, on_one: Finished, on_two_again: Finished) -> None:
    halves = optimizer_states(on_two, 8)
    assert [(decay, steps) for decay, steps, _ in halves[0]] == [(1.0, 8.0), (0.0, 8.0)]
    assert optimizer_states(on_one, 8) == [[(decay, steps, 2 * size) for decay, steps, size in halves[0]]]
    assert optimizer_states(on_two_again, 8) == halves


def test_nothing_is_left_of_what_was_made_for_it(on_one: Finished, on_two_again: Finished) -> None:
    for run in (on_one, on_two_again):
        assert not list(run.run_folder.rglob("*universal*"))


@pytest.mark.parametrize(
    ("batches", "most", "num_ranks", "passes"),
    [
        (Batches(16, 16), 8, 1, (8, 2, 2)),
        (Batches(16, 16), 8, 4, (4, 1, 1)),
        (Batches(16, 64), 8, 2, (8, 1, 4)),
        (Batches(24, 48), 8, 4, (6, 1, 2)),
        (Batches(14, 28), 4, 1, (2, 7, 14)),
    ],
)
def test_batches_stay_as_large(batches: Batches, most: int, num_ranks: int, passes: tuple[int, int, int]) -> None:
    names = ("per_device_train_batch_size", "gradient_accumulation_steps", "steps_per_generation")
    assert divided(batches, most, num_ranks) == dict(zip(names, passes, strict=True)) | {"generation_batch_size": None}


def test_batches_that_cannot_be_divided_are_refused() -> None:
    with pytest.raises(
        RunFailure,
        match=r"^spec.learners.replicas: a step of the run is 16 completions, which cannot be divided among 3 learner "
        r"processes; suspend the run, and choose a number of learners that divides them.$",
    ):
        divided(Batches(16, 16), 8, 3)


def test_an_optimizer_that_deepspeed_does_not_know_goes_on_with_the_ranks_that_it_had(
    tmp_path: Path,
) -> None:
    PartialState(cpu=True)
    (tmp_path / "global_step4").mkdir()
    (tmp_path / LATEST).write_text("global_step4")
    states = {
        "zero_stage": 3,
        "optimizer_state_dict": {"state": {0: {"square_avg": torch.zeros(4)}}},
        "fp32_flat_groups": [torch.zeros(4)],
    }
    for rank in (0, 1):
        prefix = tmp_path / "global_step4" / f"zero_pp_rank_{rank}_mp_rank_00"
        torch.save({"optimizer_state_dict": states}, f"{prefix}_optim_states.pt")
        torch.save({"param_shapes": [{"weight": torch.Size([8])}]}, f"{prefix}_model_states.pt")
    with pytest.raises(
        RunFailure,
        match=r"^spec.learners.replicas: states of the optimizer cannot be divided among other ranks \(they have no 'exp_avg'\); "
        r"suspend the run, and set it so that there are 2 learner processes.$",
    ):
        make_universal(tmp_path)
    AcceleratorState._reset_state(reset_partial_state=True)
