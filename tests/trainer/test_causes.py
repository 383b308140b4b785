"""Trouble of disks, networks and memory is not told as a mistake in the recipe, which would end the run for good."""

import builtins
import errno
import importlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import datasets
import pytest
from accelerate.state import AcceleratorState
from datasets import arrow_writer
from transformers.integrations.liger import apply_liger_kernel
from transformers.trainer_optimizer import _get_adamw_anyprecision
from transformers.utils import requires_backends

from grpo_contract.config import RunConfig
from grpo_contract.failure import UserError
from grpo_trainer import building
from grpo_trainer.causes import is_of_the_system
from grpo_trainer.inputs.data import load_from_hub, load_path
from grpo_trainer.inputs.loading import load_data
from grpo_trainer.inputs.tokenizer import load_tokenizer
from grpo_trainer.instruments.metrics import LearnerMetrics
from grpo_trainer.instruments.progress import ProgressBoard
from grpo_trainer.missing_packages import packages_needed
from grpo_trainer.recipe import parse_recipe
from grpo_trainer.sources import Source
from trainer.learner_inputs import learner_config, write_problems
from trainer.unreadable import as_pod_user, folder_for_everybody

BREAKAGES: list[tuple[Callable[[], BaseException], bool]] = [
    (lambda: OSError(errno.EIO, "Input/output error"), True),
    (lambda: OSError(errno.ESTALE, "Stale file handle"), True),
    (lambda: MemoryError(), True),
    (lambda: TimeoutError("timed out"), True),
    (lambda: FileNotFoundError(errno.ENOENT, "No such file"), False),
    (lambda: PermissionError(errno.EACCES, "Permission denied"), False),
    (lambda: NotADirectoryError(errno.ENOTDIR, "Not a directory"), False),
    (lambda: IsADirectoryError(errno.EISDIR, "Is a directory"), False),
    (lambda: OSError("no tokenizer in this folder"), False),
    (lambda: ValueError("no JSON"), False),
]


@pytest.mark.parametrize(("breakage", "expected"), BREAKAGES)
def test_the_systems_errors(breakage: Callable[[], BaseException], expected: bool) -> None:
    assert is_of_the_system(breakage()) is expected
    with pytest.raises(ValueError, match="cannot be loaded") as wrapped:
        raise ValueError("cannot be loaded") from breakage()
    assert is_of_the_system(wrapped.value) is expected


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


def test_a_network_drive_that_fails_is_no_missing_model(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_open = builtins.open

    def stale(file: Any, *arguments: Any, **options: Any) -> Any:
        if str(file).endswith("tokenizer.json"):
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), file)
        return real_open(file, *arguments, **options)

    recipe = parse_recipe(
        {"model_name_or_path": str(tiny_model)}, {"output_dir": str(tmp_path), "use_cpu": True, "bf16": False}
    )
    monkeypatch.setattr(builtins, "open", stale)
    with pytest.raises(OSError, match="Stale file handle"):
        load_tokenizer(recipe)


def test_a_full_volume_is_no_unreadable_data_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(arrow_writer.ArrowWriter, "write_table", full)
    data = write_problems(tmp_path / "train.jsonl")
    with pytest.raises(datasets.exceptions.DatasetGenerationError) as caught:
        load_path(Source(str(data)), "problem")
    assert is_of_the_system(caught.value)


def test_rows_that_are_no_json_are_the_users(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text("this is no JSON\n")
    with pytest.raises(
        UserError, match=r"train.jsonl' cannot be read, JSON parse error: Invalid value. in row 0; give"
    ):
        load_path(Source(str(tmp_path / "train.jsonl")), "prompt")


def test_a_data_set_in_a_closed_folder_is_the_users() -> None:
    with folder_for_everybody() as folder:
        datasets.Dataset.from_list([{"prompt": "Hello?"}]).save_to_disk(folder / "data")
        (folder / "data" / "state.json").chmod(0)
        with as_pod_user(), pytest.raises(UserError, match=r"permission is denied for .*state.json; make it readable"):
            load_path(Source(str(folder / "data")), "prompt")


@pytest.mark.parametrize(
    ("keys", "complaint"),
    [
        ({"config": "algebra"}, "BuilderConfig 'algebra' not found"),
        ({"split": "validation"}, 'Unknown split "validation"'),
    ],
)
def test_a_configuration_or_split_that_is_not_there_is_the_users(
    tmp_path: Path, keys: dict[str, Any], complaint: str
) -> None:
    """A folder with files in it is to `datasets` what a repository of the hub is."""
    folder = tmp_path / "data"
    folder.mkdir()
    write_problems(folder / "train.jsonl")
    with pytest.raises(UserError, match=rf"^spec.recipe.dataset_train_split or dataset_config: .*{complaint}"):
        load_from_hub(Source(str(folder), **keys))


def build(config: RunConfig, folder: Path) -> None:
    """What training.train does until the learner is there, on one process without DeepSpeed."""
    recipe = parse_recipe(config.recipe, {"output_dir": str(folder), "use_cpu": True, "bf16": False, "report_to": []})
    with building.start_rewards(config, recipe) as rewards:
        tokenizer = load_tokenizer(recipe)
        data = load_data(recipe, rewards.required_columns(), as_messages=True)
        building.build_learner(
            config, recipe, tokenizer, data, rewards, None, (), LearnerMetrics(None), ProgressBoard(1)
        )


@pytest.fixture
def build_with(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    monkeypatch.setattr(building, "read_token", lambda: "token")
    data = write_problems(tmp_path / "train.jsonl")
    return lambda **keys: build(learner_config(tiny_model, data, processes=1, **keys), tmp_path)


def test_what_trl_refuses_is_the_users(build_with: Callable[..., None]) -> None:
    with pytest.raises(UserError) as caught:
        build_with(reward_weights=[1.0])
    assert str(caught.value) == ("spec.recipe: Number of reward weights (1) must match number of reward functions (3).")


def test_what_breaks_below_trl_is_not(build_with: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        json.loads("half a file of a model")

    monkeypatch.setattr("trl.trainer.utils.AutoConfig.from_pretrained", broken)
    with pytest.raises(json.JSONDecodeError):
        build_with()


LIGER = (
    "You have set `use_liger_kernel` to `True` but liger-kernel >= 0.3.0 is not available. Please install it with "
    "`pip install liger-kernel`"
)
MISSING_PACKAGES: list[tuple[dict[str, Any], Callable[[], Any], str]] = [
    (
        {"use_liger_kernel": True},
        lambda: apply_liger_kernel(None, None),
        f"spec.recipe.use_liger_kernel: true needs a package that is not in the learners' image ({LIGER}); ",
    ),
    (
        {"optim": "adamw_anyprecision"},
        lambda: _get_adamw_anyprecision(None),
        'spec.recipe.optim: "adamw_anyprecision" needs a package that is not in the learners\' image (Please install '
        "https://github.com/pytorch/torchdistx); ",
    ),
    (
        {"model_name_or_path": "org/model"},
        lambda: requires_backends(json, ["detectron2"]),
        'spec.recipe.model_name_or_path: "org/model", or another key of the recipe, needs a package that is not in the '
        "learners' image (",
    ),
]


@pytest.mark.parametrize(("recipe", "need", "beginning"), MISSING_PACKAGES)
def test_a_package_that_the_image_lacks_is_the_users(
    recipe: dict[str, Any], need: Callable[[], Any], beginning: str
) -> None:
    with pytest.raises(UserError) as caught, packages_needed(recipe):
        need()
    assert caught.value.failure.reason == "InvalidRecipe"
    assert str(caught.value).startswith(beginning)
    assert str(caught.value).endswith("; choose something else, or set spec.learners.image to an image that holds it.")


def test_other_errors_of_imports_and_values_are_not() -> None:
    with pytest.raises(ModuleNotFoundError), packages_needed({}):
        importlib.import_module("there_is_no_such_module")
    with pytest.raises(json.JSONDecodeError), packages_needed({}):
        json.loads("half a file")


def test_nor_is_a_package_that_the_disk_did_not_give() -> None:
    def fail_to_read() -> None:
        raise OSError(errno.EIO, "Input/output error")

    with pytest.raises(ImportError, match="liger-kernel"), packages_needed({}):
        try:
            fail_to_read()
        except OSError:
            apply_liger_kernel(None, None)
