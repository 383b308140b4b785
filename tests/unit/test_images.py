"""Which files an image is made from, how its build hears of package settings, and the Dockerfile's own rules."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from images.build import TARGETS, default_tag, pip_settings
from images.content import content_key, context_files
from images.layout import PROJECT

DOCKERFILE = (PROJECT / "Dockerfile").read_text()
FROM = re.compile(r"^FROM (\S+) AS (\S+)$", re.MULTILINE)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    (tmp_path / ".dockerignore").write_text("*\n!code\n!lock.txt\n**/__pycache__\n")
    (tmp_path / "code" / "__pycache__").mkdir(parents=True)
    for name in ("code/a.py", "code/__pycache__/a.pyc", "lock.txt", "notes.md"):
        (tmp_path / name).write_text(name)
    return tmp_path


def key_of(project: Path) -> str:
    return content_key(project, context_files(project))


def test_context_is_what_dockerignore_admits(project: Path) -> None:
    names = [str(file.relative_to(project)) for file in context_files(project)]
    assert names == [".dockerignore", "Dockerfile", "code/a.py", "lock.txt"]


@pytest.mark.parametrize("name", ["Dockerfile", "code/a.py", "lock.txt"])
def test_key_moves_with_every_file_of_the_context(project: Path, name: str) -> None:
    before = key_of(project)
    (project / name).write_text("changed")
    assert key_of(project) != before


@pytest.mark.parametrize("name", ["notes.md", "code/__pycache__/a.pyc"])
def test_key_stays_with_other_files(project: Path, name: str) -> None:
    before = key_of(project)
    (project / name).write_text("changed")
    assert key_of(project) == before


def test_key_tells_a_moved_file_from_a_changed_one(project: Path) -> None:
    before = key_of(project)
    (project / "code" / "a.py").rename(project / "code" / "b.py")
    assert key_of(project) != before


def test_key_moves_with_the_tag(project: Path) -> None:
    files = context_files(project)
    assert content_key(project, files, ["grpo-operator:1"]) != content_key(project, files, ["grpo-operator:2"])


def test_all_that_the_dockerfile_copies_is_in_the_context() -> None:
    copied = {
        source
        for line in re.findall(r"^COPY (?!--from)(.*)$", DOCKERFILE, re.MULTILINE)
        for source in line.split()[:-1]
    }
    files = {str(file.relative_to(PROJECT)) for file in context_files(PROJECT)}
    assert copied >= {"operator", "trainer_image", "pyproject.toml"}
    for source in copied:
        assert source in files or any(file.startswith(f"{source}/") for file in files), source


def test_settings_of_pip_later_ones_win() -> None:
    first, second = "[global]\nindex-url = a\ncert = /etc/ca\n", "[global]\nindex-url = b\n[install]\nuser = no\n"
    assert pip_settings([], {}) == {}
    assert pip_settings([first], {"HOME": "/"}) == {"index-url": "a"}
    assert pip_settings([first, second], {}) == {"index-url": "b"}
    environment = {"PIP_INDEX_URL": "c%20c", "PIP_EXTRA_INDEX_URL": "d", "PIP_CERT": "e"}
    assert pip_settings([first, second], environment) == {"index-url": "c%20c", "extra-index-url": "d"}


def test_default_tags() -> None:
    assert [default_tag(target) for target in TARGETS] == [
        "grpo-operator:0.1.0",
        "grpo-trainer:0.1.0",
        "grpo-trainer-cpu:0.1.0",
    ]


def test_hadolint_finds_nothing() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([hadolint, "Dockerfile"], cwd=PROJECT, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def stages() -> dict[str, str]:
    """Name of each stage -> its instructions."""
    found = list(FROM.finditer(DOCKERFILE))
    ends = [match.start() for match in found[1:]] + [len(DOCKERFILE)]
    return {match.group(2): DOCKERFILE[match.start() : end] for match, end in zip(found, ends, strict=True)}


def based_on(stage: str) -> str:
    """The instructions that its root file system is made by: its own and those of the stages below it."""
    below = {name: base for base, name in FROM.findall(DOCKERFILE)}
    return stages()[stage] + (based_on(below[stage]) if below[stage] in below else "")


@pytest.mark.parametrize("package", ["libibverbs1", "ibverbs-providers"])
def test_libraries_of_rdma_are_in_the_cuda_image_alone(package: str) -> None:
    """NCCL without them takes TCP sockets and says nothing; on CPU gloo knows no RDMA."""
    assert [target for target in TARGETS if package in based_on(target).split()] == ["trainer"]


@pytest.mark.parametrize("target", TARGETS)
def test_final_stage(target: str) -> None:
    stage = stages()[target]
    assert re.search(r"^USER 65532:65532$", stage, re.MULTILINE)
    assert "RUN" not in stage, "nothing is installed or compiled in a final stage"
    assert f'org.opencontainers.image.title="grpo-{target}"' in stage
    assert "/opt/venv/bin" in stage + stages().get("trainer-base", "")


def test_base_image_is_an_argument() -> None:
    bases = {base for base, _ in FROM.findall(DOCKERFILE)} - stages().keys()
    assert bases == {"${BASE}", "scratch"}
    assert "ARG BASE=debian:12-slim\n" in DOCKERFILE


def test_every_requirement_is_installed_by_hash() -> None:
    installs = re.findall(r"\$\{PIP\} install .*", DOCKERFILE)
    assert installs
    for install in installs:
        assert "--require-hashes" in install or "--no-index" in install, install
