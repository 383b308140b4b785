"""Every run, and every part of one, that the documents show is accepted; so is every field that they have explained."""

import pytest

from api.client import ApiServer
from grpo_operator.api.spec import GRPORunSpec
from harness.documents import DOCUMENTS, applied, commands, mappings, notes
from harness.kubectl import Manifest
from harness.merge_patch import merge_patch

FIELDS = {field.alias or name for name, field in GRPORunSpec.model_fields.items()}


RUNS = [(name, found) for name, text in DOCUMENTS.items() for found in mappings(text) if found.get("kind") == "GRPORun"]
PARTS = [(name, found) for name, text in DOCUMENTS.items() for found in mappings(text) if found.keys() <= FIELDS]
EXPLAINED = sorted(
    {words[2] for text in DOCUMENTS.values() for words in commands(text) if words[:2] == ["kubectl", "explain"]}
)


def case_name(case: tuple[str, Manifest]) -> str:
    return f"{case[0]}: {','.join(case[1])}"


def test_the_documents_show_some_of_each() -> None:
    assert [name for name, _ in RUNS] == ["README.md"]
    assert [name for name, _ in PARTS].count("docs/getting-started.md") >= 4
    assert EXPLAINED


@pytest.mark.parametrize("case", RUNS, ids=case_name)
def test_a_run_is_accepted(api_server: ApiServer, case: tuple[str, Manifest]) -> None:
    answer = api_server.try_create(case[1])
    assert answer.accepted, answer.body


@pytest.mark.parametrize("case", PARTS, ids=case_name)
def test_a_part_of_a_run_is_accepted(api_server: ApiServer, base_run: Manifest, case: tuple[str, Manifest]) -> None:
    answer = api_server.try_create(merge_patch(base_run, {"spec": case[1]}))
    assert answer.accepted, answer.body


def test_the_run_of_the_notes_is_accepted(api_server: ApiServer) -> None:
    (run,) = applied(notes(api_server.kubectl))
    answer = api_server.try_create(run)
    assert answer.accepted, answer.body


def test_the_notes_say_how_to_have_a_volume_on_a_cloud(api_server: ApiServer, base_run: Manifest) -> None:
    assert "then add storageClassName to storage." in notes(api_server.kubectl)
    answer = api_server.try_create(merge_patch(base_run, {"spec": {"storage": {"storageClassName": "shared"}}}))
    assert answer.accepted, answer.body


@pytest.mark.parametrize("path", EXPLAINED)
def test_an_explained_field_is_there(api_server: ApiServer, path: str) -> None:
    assert "DESCRIPTION" in api_server.kubectl("explain", path)
