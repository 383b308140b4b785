"""What the documents name is there: make targets, targets of the Dockerfile, files, pages."""

import re

import pytest

from harness.documents import DOCUMENTS, code_blocks, commands, mappings
from harness.layout import ROOT

TARGETS = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
STAGES = set(re.findall(r"^FROM .* AS (\S+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE))
LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)]+))?\)")


def test_code_blocks_are_found_fenced_indented_and_within_lists() -> None:
    text = "a\n\n    kubectl get \\\n        grpo  # all\n\n    make demo\n\n1. x\n   y\n\n       size: 1\n\n```yaml\nkind: A\n```\n"
    assert code_blocks(text) == ["kind: A\n", "kubectl get \\\n    grpo  # all\n\nmake demo\n", "size: 1\n"]
    assert commands(text)[1:3] == [["kubectl", "get", "grpo"], ["make", "demo"]]
    assert list(mappings(text)) == [{"kind": "A"}, {"size": 1}]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_make_targets_exist(name: str) -> None:
    named = set(re.findall(r"\bmake (?:-s )?([a-z][a-z0-9]*(?:-[a-z0-9]+)*)\b", "\n".join(typed(name))))
    assert named - TARGETS == set()


@pytest.mark.parametrize("name", DOCUMENTS)
def test_targets_of_the_dockerfile_exist(name: str) -> None:
    named = re.findall(r"--target ([\w|-]+)", DOCUMENTS[name])
    named += re.findall(r"^ *for target in (.*); do$", DOCUMENTS[name], re.MULTILINE)
    assert {target for words in named for target in re.split(r"[| ]", words)} - STAGES == set()


@pytest.mark.parametrize("name", DOCUMENTS)
def test_files_and_folders_of_commands_exist(name: str) -> None:
    words = {word for command in commands(DOCUMENTS[name]) for word in command}
    paths = {word for word in words if word.startswith(("manifests/", "charts/", "tests/", "docs/"))}
    assert [path for path in paths if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_lead_somewhere(name: str) -> None:
    here = ROOT / name
    for path, anchor in LINK.findall(DOCUMENTS[name]):
        target = (here.parent / path).resolve() if path else here
        assert target.exists(), path
        assert not anchor or anchor in anchors(target.read_text()), f"{path}#{anchor}"


def typed(name: str) -> list[str]:
    """Code blocks and code within a line."""
    return [*code_blocks(DOCUMENTS[name]), *re.findall(r"`([^`\n]+)`", DOCUMENTS[name])]


def anchors(text: str) -> set[str]:
    """As GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
