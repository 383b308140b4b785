"""Mistakes in paths, seen before torch is imported."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from grpo_contract.failure import UserError
from grpo_contract.paths import listing
from grpo_trainer import preflight
from grpo_trainer.sources import Source
from trainer.unreadable import as_pod_user, folder_for_everybody

RECIPE = {"model_name_or_path": "org/model", "dataset_name": "org/data", "reward_funcs": ["accuracy"]}
REMEDY = "give a model's folder on the run's volume, which is mounted at /volume, or its id on the hub."
MODELS: list[tuple[list[str], str]] = [
    (["README.md"], "is no model, it has no config.json but README.md"),
    ([], "is no model, it has no config.json but nothing"),
    (["config.json"], "has no weights, no *.safetensors or *.bin but config.json"),
    (
        ["config.json", "model.safetensors"],
        "has no tokenizer, no tokenizer* or vocab* but config.json, model.safetensors",
    ),
]


@pytest.mark.parametrize(("files", "problem"), MODELS)
def test_a_folder_that_is_no_model(tmp_path: Path, files: list[str], problem: str) -> None:
    for name in files:
        (tmp_path / name).write_text('{"model_type": "qwen2"}')
    with pytest.raises(UserError) as caught:
        preflight.check_model(str(tmp_path))
    assert caught.value.failure.reason == "ModelNotFound"
    assert str(caught.value) == f"spec.recipe.model_name_or_path: '{tmp_path}' {problem}; {REMEDY}"


def test_a_model(tiny_model: Path) -> None:
    preflight.check_model(str(tiny_model))


def test_ids_on_the_hub_are_not_looked_at() -> None:
    preflight.check(RECIPE)


@pytest.mark.parametrize("key", ["model_name_or_path", "dataset_name", "reward_funcs"])
def test_keys_that_every_run_needs(key: str) -> None:
    recipe = {other: value for other, value in RECIPE.items() if other != key}
    with pytest.raises(UserError, match=rf"^spec\.recipe\.{key}: missing; set it to .*\.$"):
        preflight.check(recipe)


def test_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").touch()
    with pytest.raises(UserError) as caught:
        preflight.check(RECIPE | {"dataset_name": str(tmp_path / "train.jsonl")})
    assert caught.value.failure.reason == "DatasetNotFound"
    assert str(caught.value).startswith(f"spec.recipe.dataset_name: '{tmp_path}/train.jsonl' is empty; give a .jsonl, ")


def test_a_mixture_instead_of_one_data_set() -> None:
    mixture = {"dataset_mixture": {"datasets": [{"id": "org/data"}, {"id": "org/other", "columns": ["prompt"]}]}}
    preflight.check(RECIPE | {"dataset_name": None} | mixture)
    with pytest.raises(UserError) as caught:
        preflight.check(RECIPE | mixture)
    assert caught.value.failure.reason == "InvalidRecipe"
    assert str(caught.value) == (
        "spec.recipe.dataset_name is 'org/data' and spec.recipe.dataset_mixture is set, but either says what to train "
        "on; keep one of them."
    )


def test_a_reward_that_is_listed_twice() -> None:
    preflight.check(RECIPE | {"reward_funcs": ["format", "accuracy"]})
    with pytest.raises(UserError) as caught:
        preflight.check(RECIPE | {"reward_funcs": ["format", "accuracy", "format"], "reward_weights": [1, 1, 1]})
    assert caught.value.failure.reason == "InvalidRecipe"
    assert str(caught.value) == (
        "spec.recipe.reward_funcs holds 'format' more than once; list it once and give its weight in reward_weights."
    )


PUSH = RECIPE | {"push_to_hub": True, "hub_model_id": "me/model"}


def test_a_run_that_pushes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    preflight.check_hub(PUSH, "first")


@pytest.mark.parametrize(
    ("keys", "named"),
    [
        ({"push_to_hub": True}, "push_to_hub"),
        ({"push_to_hub": False, "push_to_hub_revision": True}, "push_to_hub_revision"),
        ({"callbacks": ["push_to_hub_revision"]}, "callbacks"),
    ],
)
def test_a_run_that_pushes_without_a_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keys: dict[str, object], named: str
) -> None:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "token"))
    preflight.check_hub(RECIPE | {"hub_model_id": "me/model"}, "first")
    with pytest.raises(UserError) as caught:
        preflight.check_hub(RECIPE | keys, "first")
    assert caught.value.failure.reason == "InvalidRecipe"
    assert str(caught.value) == (
        f"spec.recipe.{named} is set, but the learners have no token for the hub; set HF_TOKEN from a Secret in "
        "spec.learners.env."
    )


def test_a_repository_that_cannot_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    with pytest.raises(UserError, match=r"^spec\.recipe\.hub_model_id: .*'org/team/model'.*; set it to such a name\.$"):
        preflight.check_hub(PUSH | {"hub_model_id": "org/team/model"}, "first")


def test_a_long_listing_is_cut(tmp_path: Path) -> None:
    for number in range(12):
        (tmp_path / f"file{number:02}").touch()
    assert listing(tmp_path) == ", ".join([f"file{number:02}" for number in range(10)] + ["..."])


@pytest.mark.parametrize(
    ("implementation", "package"), [("flash_attention_3", "flash-attn-3"), ("flash_attention_4", "flash-attn-4")]
)
def test_flash_attention_that_is_not_installed(implementation: str, package: str) -> None:
    with pytest.raises(UserError) as caught:
        preflight.check(RECIPE | {"attn_implementation": implementation})
    assert caught.value.failure.reason == "InvalidRecipe"
    assert str(caught.value) == (
        f"spec.recipe.attn_implementation: '{implementation}' needs the package {package}, which is not in the "
        f"learners' image; set it to sdpa, leave it out, or use an image that holds {package}."
    )


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """A distribution, by name-version."""

    def install(distribution: str) -> None:
        name, version = distribution.split("-")
        folder = tmp_path / f"{distribution}.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        monkeypatch.syspath_prepend(tmp_path)

    return install


@pytest.mark.parametrize("distribution", ["flash_attn_3-3.0.0", "kernels-0.12.0"])
def test_flash_attention_that_is_installed(distribution: str, install: Callable[[str], None]) -> None:
    install(distribution)
    preflight.check(RECIPE | {"attn_implementation": "flash_attention_3"})


@pytest.mark.parametrize(
    ("optim", "package"), [("stable_adamw", "torch-optimi"), ("grokadamw", "grokadamw"), ("adalomo", "lomo-optim")]
)
def test_an_optimizer_that_is_not_installed(optim: str, package: str) -> None:
    with pytest.raises(UserError) as caught:
        preflight.check(RECIPE | {"optim": optim})
    assert caught.value.failure.reason == "InvalidRecipe"
    assert str(caught.value) == (
        f"spec.recipe.optim: '{optim}' needs the package {package}, which is not in the learners' image; set it to adamw_torch, "
        f"leave it out, or use an image that holds {package}."
    )


def test_an_optimizer_that_is_installed(install: Callable[[str], None]) -> None:
    install("grokadamw-0.1.2")
    preflight.check(RECIPE | {"optim": "grokadamw"})
    preflight.check(RECIPE | {"optim": "paged_adamw_8bit"})


@pytest.mark.parametrize(
    "implementation", ["sdpa", "eager", "flash_attention_2", "kernels-community/flash-attn2", None]
)
def test_other_attention_is_left_to_transformers(implementation: str | None) -> None:
    preflight.check(RECIPE | {"attn_implementation": implementation})


@pytest.fixture
def model_of_another(tiny_model: Path) -> Iterator[Path]:
    with folder_for_everybody() as folder:
        yield Path(shutil.copytree(tiny_model, folder / "model", copy_function=shutil.copyfile))


@pytest.mark.parametrize("closed", [".", "config.json", "model.safetensors", "tokenizer.json"])
def test_a_model_that_the_pod_may_not_read(model_of_another: Path, closed: str) -> None:
    model_of_another.chmod(0o755)
    (model_of_another / closed).chmod(0)
    with as_pod_user() as user, pytest.raises(UserError) as caught:
        preflight.check_model(str(model_of_another))
    asked = model_of_another / ("config.json" if closed == "." else closed)
    assert caught.value.failure.reason == "ModelNotFound"
    assert str(caught.value) == (
        f"spec.recipe.model_name_or_path: '{model_of_another}' cannot be read by the pod's user {user}, permission is "
        f"denied for {asked}; make it readable for that user, for example with chmod -R a+rX."
    )


@pytest.mark.parametrize("name", ["train.jsonl", "train.parquet"])
def test_data_that_the_pod_may_not_read(name: str) -> None:
    with folder_for_everybody() as folder:
        (folder / name).touch(mode=0)
        with as_pod_user() as user, pytest.raises(UserError) as caught:
            preflight.check_dataset(Source(str(folder / name)), "prompt")
    assert caught.value.failure.reason == "DatasetNotFound"
    assert f"'{folder / name}' cannot be read by the pod's user {user}, permission is denied" in str(caught.value)


def test_files_where_folders_belong_and_the_other_way_round(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"file' is a file; give a model's folder"):
        preflight.check_model(str(tmp_path / "file"))
    (tmp_path / "config.json").mkdir()
    with pytest.raises(UserError, match=r"is no model, its config.json is a folder; give"):
        preflight.check_model(str(tmp_path))
    (tmp_path / "train.jsonl").mkdir()
    preflight.check_dataset(Source(str(tmp_path / "train.jsonl")), "prompt")  # of save_to_disk, perhaps
