"""Code of reward functions that a run brings along: from a ConfigMap, a file, a wheel or a folder to scores."""

import os
import zipfile
from pathlib import Path

import pytest

from grpo_contract.config import RewardCode
from grpo_contract.failure import UserError
from grpo_trainer import preflight
from grpo_trainer.rewards import code as code_module
from grpo_trainer.rewards import registry
from grpo_trainer.rewards.code import module_folders
from trainer.scoring import Scored
from trainer.unreadable import as_pod_user, folder_for_everybody

HALVES = "def halves(completions, **_): return [0.5] * len(completions)\n"
LISTED = """
from pathlib import Path
WORDS = Path(__file__).with_name("words.txt").read_text().split()
def listed(completions, **_): return [float(text in WORDS) for text in completions]
"""


@pytest.fixture
def copies(tmp_path: Path) -> Path:
    (tmp_path / "copies").mkdir()
    return tmp_path / "copies"


@pytest.fixture
def mounted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A ConfigMap as the kubelet mounts it: keys are links into a folder that it swaps as a whole."""
    folder = tmp_path / "mounted"
    monkeypatch.setattr(code_module, "reward_code_folder", lambda place: folder)
    return mount(folder, {"mine.py": LISTED, "words.txt": "yes right"})


def mount(folder: Path, keys: dict[str, str]) -> Path:
    version = folder / "..2026_11_26"
    version.mkdir(parents=True)
    (folder / "..data").symlink_to(version.name)
    for key, text in keys.items():
        (version / key).write_text(text)
        (folder / key).symlink_to(f"..data/{key}")
    return folder


def write_wheel(file: Path) -> Path:
    with zipfile.ZipFile(file, "w") as wheel:
        wheel.writestr("team/__init__.py", "")
        wheel.writestr("team/style.py", HALVES)
        wheel.writestr("team-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: team\nVersion: 1.0\n")
    return file


def scores(code: list[RewardCode], copies: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> list[float | None]:
    """Of "yes" and "no", as a learner pod comes to them."""
    folders = module_folders(code, copies)
    registry.check_names([name], folders)
    monkeypatch.setenv("GRPO_REWARD_CODE", os.pathsep.join(map(str, folders)))
    with Scored(name) as scored:
        return scored.scores(["yes", "no"])[name]


@pytest.mark.usefixtures("mounted")
def test_a_module_in_a_config_map_with_a_key_that_it_reads(copies: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert scores([RewardCode(config_map="mine")], copies, "mine:listed", monkeypatch) == [1.0, 0.0]


def test_a_config_map_that_changes_leaves_what_was_copied(copies: Path, mounted: Path) -> None:
    (folder,) = module_folders([RewardCode(config_map="mine")], copies)
    (mounted / "..data" / "mine.py").write_text("changed")
    assert folder == copies / "0"
    assert {file.name: file.read_text() for file in folder.iterdir()} == {"mine.py": LISTED, "words.txt": "yes right"}


def test_a_file(tmp_path: Path, copies: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And nothing that lies beside it."""
    (tmp_path / "plain.py").write_text(HALVES)
    (tmp_path / "json.py").write_text("raise RuntimeError\n")
    assert scores([RewardCode(path=str(tmp_path / "plain.py"))], copies, "plain:halves", monkeypatch) == [0.5, 0.5]


def test_a_wheel(tmp_path: Path, copies: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = write_wheel(tmp_path / "team-1.0-py3-none-any.whl")
    assert scores([RewardCode(path=str(wheel))], copies, "team.style:halves", monkeypatch) == [0.5, 0.5]


def test_a_folder_is_used_where_it_lies(tmp_path: Path, copies: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "rewards" / "ours").mkdir(parents=True)
    (tmp_path / "rewards" / "ours" / "style.py").write_text(HALVES)  # a namespace package
    code = [RewardCode(path=str(tmp_path / "rewards"))]
    assert scores(code, copies, "ours.style:halves", monkeypatch) == [0.5, 0.5]
    assert list(copies.iterdir()) == []


@pytest.mark.usefixtures("mounted")
def test_what_is_listed_first_is_found_first(tmp_path: Path, copies: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also before what the image, or PYTHONPATH, holds."""
    (tmp_path / "mine.py").write_text(HALVES.replace("halves", "listed"))
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}")
    first, second = RewardCode(path=str(tmp_path / "mine.py")), RewardCode(config_map="mine")
    assert scores([first, second], copies, "mine:listed", monkeypatch) == [0.5, 0.5]
    (copies / "again").mkdir()
    assert scores([second, first], copies / "again", "mine:listed", monkeypatch) == [1.0, 0.0]


PLACES: dict[str, tuple[str, str]] = {
    # path, what is said of it
    "nothing": (
        "none.py", "does not exist, {folder} holds broken.whl, copies, notes.txt; give a folder, a .py file or a wheel in "
        "the learners' pods.",
    ),
    "another file": ("notes.txt", "is neither a folder nor a .py file nor a wheel; give one of them."),
    "no wheel": ("broken.whl", "is no wheel (File is not a zip file); build it anew."),
}  # fmt: skip


@pytest.mark.parametrize("case", PLACES)
def test_places_without_code(case: str, tmp_path: Path, copies: Path) -> None:
    for name in ("notes.txt", "broken.whl"):
        (tmp_path / name).write_text("no code")
    name, problem = PLACES[case]
    with pytest.raises(UserError) as caught:
        module_folders([RewardCode(path=str(tmp_path)), RewardCode(path=str(tmp_path / name))], copies)
    assert caught.value.failure.reason == "RewardNotFound"
    said = problem.format(folder=tmp_path)
    assert str(caught.value) == f"spec.rewards.from[1].path: '{tmp_path / name}' {said}"


@pytest.mark.parametrize(("keys", "listing"), [({"a.txt": "", "b": ""}, "a.txt, b"), ({}, "nothing")])
def test_a_config_map_without_modules(
    keys: dict[str, str], listing: str, tmp_path: Path, copies: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = mount(tmp_path / "0", keys)
    monkeypatch.setattr(code_module, "reward_code_folder", lambda place: folder)
    with pytest.raises(UserError) as caught:
        module_folders([RewardCode(config_map="mine")], copies)
    assert caught.value.failure.reason == "RewardNotFound"
    assert str(caught.value) == (
        f"spec.rewards.from[0].configMap.name: 'mine' has no key that ends in .py but {listing}; give each module a key, as "
        "in my_rewards.py."
    )


def test_an_entry_that_says_nothing(copies: Path) -> None:
    with pytest.raises(
        UserError, match=r"^spec\.rewards\.from\[0\]: neither configMap nor path is set; set one of them\.$"
    ):
        module_folders([RewardCode()], copies)


@pytest.mark.parametrize("name", ["mine.py", "mine.whl", "mine"])
def test_code_that_the_pod_may_not_read(name: str) -> None:
    with folder_for_everybody() as folder:
        place = folder / name
        place.mkdir() if name == "mine" else place.touch()
        place.chmod(0)
        (folder / "copies").mkdir()
        (folder / "copies").chmod(0o777)
        with as_pod_user() as user, pytest.raises(UserError) as caught:
            module_folders([RewardCode(path=str(place))], folder / "copies")
    assert caught.value.failure.reason == "RewardNotFound"
    assert str(caught.value) == (
        f"spec.rewards.from[0].path: '{place}' cannot be read by the pod's user {user}, permission is denied for {place}; "
        "make it readable for that user, for example with chmod -R a+rX."
    )


def test_a_package_that_is_nowhere(tmp_path: Path) -> None:
    recipe = {"model_name_or_path": "org/model", "dataset_name": "org/data", "reward_funcs": ["nowhere:halves"]}
    with pytest.raises(
        UserError, match=r"\(there is no package 'nowhere'\); give its code in spec\.rewards\.from, or "
    ):
        preflight.check(recipe, [tmp_path])
    (tmp_path / "nowhere.py").write_text(HALVES)
    preflight.check(recipe, [tmp_path])
