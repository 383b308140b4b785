"""What is pushed when, and to where."""

from pathlib import Path

import pytest

from grpo_trainer.hub.plan import Push, files_of, push_of_model, pushes_of_checkpoint, with_push
from grpo_trainer.hub.settings import HubSettings, Strategy

FOLDER = Path("/volume/checkpoint-20")
MODEL = Path("/volume/model")


def settings(strategy: Strategy | None, **more: bool) -> HubSettings:
    return HubSettings("me/model", "v1", None, strategy, **more)


PROGRESS = Push(
    FOLDER,
    "v1",
    message="Training in progress, step 20",
    what="the checkpoint of step 20",
    may_be_passed_over=True,
)
BRANCH = Push(
    FOLDER,
    "v1-step-000000020",
    message="Add v1-step-000000020 checkpoint",
    what="the checkpoint of step 20",
)
END = Push(MODEL, "v1", message="End of training", what="the trained model", is_final=True)


def changed(push: Push, **changes: object) -> Push:
    return Push(**vars(push) | changes)


@pytest.mark.parametrize(
    ("asked", "of_checkpoint", "of_model"),
    [
        (settings(Strategy.END), [], END),
        (settings(Strategy.EVERY_SAVE), [PROGRESS], END),
        (settings(Strategy.EVERY_SAVE, always_pushes=True), [changed(PROGRESS, may_be_passed_over=False)], END),
        (settings(Strategy.CHECKPOINT), [changed(PROGRESS, checkpoint_to="last-checkpoint")], END),
        (
            settings(Strategy.ALL_CHECKPOINTS),
            [changed(PROGRESS, checkpoint_to="checkpoint-20", may_be_passed_over=False)],
            END,
        ),
        (settings(Strategy.END, is_guarded=True), [], changed(END, is_guarded=True)),
        (settings(Strategy.EVERY_SAVE, has_branch_per_checkpoint=True), [PROGRESS, BRANCH], END),
        (settings(None, has_branch_per_checkpoint=True), [BRANCH], None),
    ],
)
def test_what_is_pushed(asked: HubSettings, of_checkpoint: list[Push], of_model: Push | None) -> None:
    assert pushes_of_checkpoint(asked, FOLDER, 20) == of_checkpoint
    assert push_of_model(asked, MODEL) == of_model


def passing(step: int) -> Push:
    return Push(Path(f"checkpoint-{step}"), "main", "", f"{step}", may_be_passed_over=True)


def staying(step: int) -> Push:
    return Push(Path(f"checkpoint-{step}"), f"step-{step}", "", f"{step}")


@pytest.mark.parametrize(
    ("waiting", "push", "then", "passed_over"),
    [
        ([], passing(1), [passing(1)], []),
        ([passing(1)], passing(2), [passing(2)], [passing(1)]),
        ([staying(1)], staying(2), [staying(1), staying(2)], []),
        ([staying(1), staying(2)], staying(3), [staying(2), staying(3)], [staying(1)]),
        # Two pushes of one checkpoint: only the folders are many.
        ([passing(1), staying(1)], passing(2), [staying(1), passing(2)], [passing(1)]),
        ([staying(1), passing(2)], staying(2), [staying(1), passing(2), staying(2)], []),
        ([staying(1), passing(2), staying(2)], passing(3), [staying(2), passing(3)], [passing(2), staying(1)]),
        # The trained model waits for all that is older, so that its branch ends with it.
        ([passing(1)], END, [passing(1), END], []),
        ([staying(1), staying(2)], END, [staying(1), staying(2), END], []),
    ],
)
def test_what_waits(waiting: list[Push], push: Push, then: list[Push], passed_over: list[Push]) -> None:
    assert with_push(waiting, push) == (then, passed_over)


def write_checkpoint(folder: Path) -> Path:
    (folder / "global_step20").mkdir(parents=True)
    names = (
        "config.json generation_config.json model-00001-of-00002.safetensors model.safetensors.index.json tokenizer.json "
        "chat_template.jinja training_args.bin trainer_state.json scheduler.pt rng_state_0.pth rng_state_1.pth latest "
        "zero_to_fp32.py complete.json global_step20/bf16_zero_pp_rank_0_mp_rank_00_optim_states.pt"
    )
    for name in names.split():
        (folder / name).touch()
    return folder


def test_a_checkpoint_is_pushed_as_a_model(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "checkpoint-20")
    model = [
        "chat_template.jinja",
        "config.json",
        "generation_config.json",
        "model-00001-of-00002.safetensors",
        "model.safetensors.index.json",
        "tokenizer.json",
        "trainer_state.json",
        "training_args.bin",
    ]
    assert files_of(changed(PROGRESS, folder=folder)) == {name: folder / name for name in model}


def test_a_checkpoint_is_pushed_to_resume_from(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "checkpoint-20")
    files = files_of(changed(PROGRESS, folder=folder, checkpoint_to="last-checkpoint"))
    whole = {name.removeprefix("last-checkpoint/") for name in files if name.startswith("last-checkpoint/")}
    assert whole == {
        "chat_template.jinja",
        "config.json",
        "generation_config.json",
        "global_step20/bf16_zero_pp_rank_0_mp_rank_00_optim_states.pt",
        "latest",
        "model-00001-of-00002.safetensors",
        "model.safetensors.index.json",
        "rng_state_0.pth",
        "rng_state_1.pth",
        "scheduler.pt",
        "tokenizer.json",
        "trainer_state.json",
        "training_args.bin",
        "zero_to_fp32.py",
    }
    assert (
        files.keys() - {f"last-checkpoint/{name}" for name in whole}
        == files_of(changed(PROGRESS, folder=folder)).keys()
    )
    assert files["last-checkpoint/latest"] == folder / "latest"
