"""One push by huggingface_hub, in its process, to a hub on this machine."""

import threading
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx
import pytest
from huggingface_hub.errors import HfHubHTTPError

from grpo_trainer.hub.job import NO_TIME_LEFT, PushJob, PushResult
from grpo_trainer.hub.process import PushProcess, read_result
from grpo_trainer.hub.push import is_refusal, sentence_of
from trainer.hub_server import Hub, Repository

RUN = "GRPORun first, uid 0123"


def job(folder: Path, contents: dict[str, str], **changes: Any) -> PushJob:
    """`contents` by path in the repository."""
    files = {}
    for number, (path, content) in enumerate(contents.items()):
        files[path] = folder / f"file-{number}"
        files[path].write_text(content)
    told: dict[str, Any] = {
        "repository": "model",
        "is_private": None,
        "branch": "main",
        "message": "End of training",
        "run": RUN,
        "is_guarded": False,
        "files": files,
        "card": None,
        "replaced_folder": None,
    }
    return PushJob(**told | changes)


def send(told: PushJob) -> PushResult:
    return PushProcess()(told)


def test_small_and_large_files(hub: Hub, tmp_path: Path) -> None:
    contents = {"config.json": "{}", "model.safetensors": "weights", "README.md": "# card"}
    result = send(job(tmp_path, contents))
    repository = hub.repositories["me/model"]
    last = repository.branches["main"][-1]
    assert result == PushResult(url=f"{hub.url}/me/model/commit/{last.oid}")
    assert (last.title, last.message) == ("End of training", RUN)
    assert repository.files() == {".gitattributes": b""} | {name: text.encode() for name, text in contents.items()}
    assert list(hub.lfs.values()) == [b"weights"]
    assert repository.is_private is None


@pytest.mark.parametrize(("is_private", "seen"), [(True, True), (False, False), (None, None)])
def test_private_or_not(hub: Hub, tmp_path: Path, is_private: bool | None, seen: bool | None) -> None:
    send(job(tmp_path, {"config.json": "{}"}, repository="org/model", is_private=is_private))
    assert hub.repositories["org/model"].is_private is seen


def test_a_repository_that_exists(hub: Hub, tmp_path: Path) -> None:
    send(job(tmp_path, {"config.json": "1"}))
    send(job(tmp_path, {"config.json": "2", "extra.json": "{}"}, message="again"))
    assert hub.repositories["me/model"].titles() == ["initial commit", "End of training", "again"]
    assert hub.repositories["me/model"].files()["config.json"] == b"2"


def test_the_card_of_a_checkpoint(hub: Hub, tmp_path: Path) -> None:
    send(job(tmp_path, {"config.json": "{}"}, card="# written by the run"))
    assert hub.repositories["me/model"].files()["README.md"] == b"# written by the run"


def test_a_branch_begins_empty(hub: Hub, tmp_path: Path) -> None:
    send(job(tmp_path, {"config.json": "main"}))
    send(job(tmp_path, {"model.safetensors": "w"}, branch="v1-step-000000020"))
    send(job(tmp_path, {"model.safetensors": "v"}, branch="v1-step-000000020"))
    repository = hub.repositories["me/model"]
    assert repository.files("v1-step-000000020") == {".gitattributes": b"", "model.safetensors": b"v"}
    assert len(repository.titles("v1-step-000000020")) == 3
    assert repository.files() == {".gitattributes": b"", "config.json": b"main"}


def test_a_folder_holds_the_last_checkpoint_only(hub: Hub, tmp_path: Path) -> None:
    to = "last-checkpoint"
    for step in (20, 40):
        contents = {"config.json": "{}", f"{to}/global_step{step}/rank_0.pt": str(step), f"{to}/latest": str(step)}
        send(job(tmp_path, contents, replaced_folder=to))
    assert hub.repositories["me/model"].files() == {
        ".gitattributes": b"",
        "config.json": b"{}",
        "last-checkpoint/global_step40/rank_0.pt": b"40",
        "last-checkpoint/latest": b"40",
    }


def test_a_branch_of_another_run_is_left_alone(hub: Hub, tmp_path: Path) -> None:
    contents = {"README.md": "# card"}
    assert send(job(tmp_path, contents, branch="v1", is_guarded=True, run="GRPORun other, uid 4567")).url is not None
    assert send(job(tmp_path, contents, branch="v1", is_guarded=True)) == PushResult(
        is_refused=True,
        message="the branch 'v1' holds a model already; set spec.recipe.hub_revision to another one, or "
        "overwrite_hub_revision to true",
    )
    assert len(hub.repositories["me/model"].titles("v1")) == 2
    assert send(job(tmp_path, contents | {"new.json": "{}"}, branch="v1")).url is not None


def test_a_branch_of_this_run_is_pushed_to_again(hub: Hub, tmp_path: Path) -> None:
    for step in (20, 40):
        result = send(job(tmp_path, {"README.md": f"step {step}"}, branch="v1", is_guarded=True))
        assert result.url is not None
    assert hub.repositories["me/model"].files("v1")["README.md"] == b"step 40"


@pytest.fixture
def licensed(hub: Hub, tmp_path: Path) -> Repository:
    """A repository as the hub's website makes it, with a card that only names the licence."""
    hub.first_files = {".gitattributes": b"", "README.md": b"# licence"}
    assert send(job(tmp_path, {"config.json": "{}"})).url is not None
    return hub.repositories["me/model"]


def test_a_branch_that_was_made_just_now_is_nobodys(licensed: Repository, tmp_path: Path) -> None:
    assert send(job(tmp_path, {"README.md": "# card"}, branch="v1", is_guarded=True)).url is not None
    assert licensed.files("v1") == {".gitattributes": b"", "README.md": b"# card"}


def test_nor_is_one_whose_first_push_failed(licensed: Repository, tmp_path: Path) -> None:
    """The branch was made, and then the hub broke down: the next try finds it."""
    licensed.branches["v1"] = licensed.branches["main"][:1]
    assert send(job(tmp_path, {"README.md": "# card"}, branch="v1", is_guarded=True)).url is not None
    assert licensed.files("v1")["README.md"] == b"# card"


@pytest.mark.parametrize("branch", ["main", "v1"])
def test_but_where_somebody_has_pushed_the_card_counts(licensed: Repository, tmp_path: Path, branch: str) -> None:
    send(job(tmp_path, {"config.json": "{}"}, branch="v1", run="GRPORun other, uid 4567"))
    licensed.branches["main"] = licensed.branches["main"][:1]  # on main the first commit may hold somebody's model
    result = send(job(tmp_path, {"README.md": "# card"}, branch=branch, is_guarded=True))
    assert (result.url, result.is_refused) == (None, True)
    assert result.message.startswith(f"the branch '{branch}' holds a model already; ")


@pytest.mark.parametrize("status", [HTTPStatus.FORBIDDEN, HTTPStatus.UNAUTHORIZED])
def test_a_token_that_may_not_write(hub: Hub, tmp_path: Path, status: HTTPStatus) -> None:
    hub.refuse_with = status
    result = send(job(tmp_path, {"config.json": "{}"}))
    assert (result.url, result.is_refused) == (None, True)
    assert str(status.value) in result.message
    assert "\n" not in result.message


def test_a_hub_that_is_overloaded(hub: Hub, tmp_path: Path) -> None:
    hub.refuse_with = HTTPStatus.SERVICE_UNAVAILABLE
    result = send(job(tmp_path, {"config.json": "{}"}))
    assert (result.url, result.is_refused) == (None, False)
    assert "503" in result.message


def test_a_hub_that_is_down(hub: Hub, tmp_path: Path) -> None:
    hub.close()
    result = send(job(tmp_path, {"config.json": "{}"}))
    assert (result.url, result.is_refused) == (None, False)
    assert result.message.startswith("ConnectError: ")


def test_a_hub_that_does_not_answer_is_left(hub: Hub, tmp_path: Path) -> None:
    process = PushProcess()
    with hub.lock:  # without which it answers nobody
        threading.Timer(3, process.end_current).start()
        assert process(job(tmp_path, {"config.json": "{}"})) == NO_TIME_LEFT
    assert process(job(tmp_path, {"config.json": "{}"})).url is not None
    with hub.lock:
        threading.Timer(3, process.stop).start()
        assert process(job(tmp_path, {"config.json": "{}"})) == NO_TIME_LEFT
    assert process(job(tmp_path, {"config.json": "{}"})) == NO_TIME_LEFT


def failed_upload(status: int) -> RuntimeError:
    """As huggingface_hub raises it."""
    address = "https://bucket.example.com/lfs/ab?X-Amz-Signature=secret&partNumber=1"
    response = httpx.Response(status, request=httpx.Request("PUT", address))
    error = RuntimeError("Error while uploading 'model.safetensors' to the Hub.")
    error.__cause__ = HfHubHTTPError(f"{status} Error for url '{address}'\n\nagain", response=response)
    return error


@pytest.mark.parametrize(("status", "is_refused"), [(403, True), (404, True), (409, False), (429, False), (503, False)])
def test_an_upload_that_fails(status: int, is_refused: bool) -> None:
    error = failed_upload(status)
    assert is_refusal(error) is is_refused
    assert sentence_of(error) == (
        "Error while uploading 'model.safetensors' to the Hub. HfHubHTTPError: "
        f"{status} Error for url 'https://bucket.example.com/lfs/ab' again"
    )


def test_what_a_process_says_last_is_its_result() -> None:
    assert read_result('noise\n{"url": "u"}\n', 0) == PushResult(url="u")
    assert read_result("", 1) == PushResult(message="the process that pushes ended with exit code 1")
