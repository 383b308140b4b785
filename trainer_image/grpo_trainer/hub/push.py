"""One push, in a process of its own: `python -m grpo_trainer.hub.push`, with a PushJob as input and a PushResult as output.

A thread of the learner could neither be ended when the hub hangs nor be kept from taking the learner's time. The token is
huggingface_hub's to find: HF_TOKEN.
"""

import os
import re
import sys
from collections.abc import Iterable
from typing import Final

import httpx
import huggingface_hub
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled
from huggingface_hub.utils._http import default_client_factory

from grpo_contract.failure import QUOTED_CHARACTERS
from grpo_trainer.hub.job import PushJob, PushResult
from grpo_trainer.hub.settings import MAIN
from grpo_trainer.storage.checkpoint_files import MODEL_CARD

SILENCE_S: Final = 120.0
"""After which a hub that says nothing is taken for gone; huggingface_hub would wait for ever."""
NICENESS: Final = 10
"""Training has the processors first."""
PASSING: Final = frozenset({408, 409, 412, 425, 429})
"""Answers of the 400s that another try may not get."""


class BranchTaken(Exception):
    """The branch holds a model that this run did not push."""


def main() -> None:
    os.nice(NICENESS)
    huggingface_hub.set_client_factory(impatient_client)
    huggingface_hub.logging.set_verbosity_error()
    job = PushJob.model_validate_json(sys.stdin.read())
    print(result_of(job).model_dump_json(), flush=True)


def impatient_client() -> httpx.Client:
    client = default_client_factory()
    client.timeout = httpx.Timeout(SILENCE_S)
    return client


def result_of(job: PushJob) -> PushResult:
    try:
        return PushResult(url=push(job, HfApi()))
    except Exception as error:  # whatever the library raises is an answer: this process has no other way to give it
        return PushResult(is_refused=is_refusal(error), message=sentence_of(error))


def push(job: PushJob, hub: HfApi) -> str:
    """The commit's address."""
    repository = hub.create_repo(job.repository, private=job.is_private, exist_ok=True).repo_id
    make_branch(hub, repository, job.branch)
    if job.is_guarded:
        check_own(hub, repository, job)
    commit = hub.create_commit(
        repository,
        operations_of(job, existing_files(hub, repository, job)),
        commit_message=job.message,
        commit_description=job.run,
        revision=job.branch,
    )
    return str(commit.commit_url)


def make_branch(hub: HfApi, repository: str, branch: str) -> None:
    """From the first commit, as Open-R1 does: it holds nothing but what is pushed to it."""
    if branch == MAIN or branch.startswith("refs/"):
        return
    if branch not in [existing.name for existing in hub.list_repo_refs(repository).branches]:
        hub.create_branch(repository, branch=branch, revision=first_commit(hub, repository), exist_ok=True)


def first_commit(hub: HfApi, repository: str) -> str:
    return str(hub.list_repo_commits(repository)[-1].commit_id)


def check_own(hub: HfApi, repository: str, job: PushJob) -> None:
    """As Open-R1, which takes a branch with a model card for taken; but an attempt goes on where the last one was.

    Raises:
        BranchTaken: the branch holds a model card, and no commit of this run.
    """
    if MODEL_CARD not in hub.list_repo_files(repository, revision=job.branch):
        return
    commits = hub.list_repo_commits(repository, revision=job.branch)
    if any(job.run in commit.message for commit in commits):
        return
    if job.branch != MAIN and commits[0].commit_id == first_commit(hub, repository):
        return  # as make_branch leaves it: the card is the licence's, which the hub's website writes
    raise BranchTaken(
        f"the branch {job.branch!r} holds a model already; set spec.recipe.hub_revision to another one, or "
        f"overwrite_hub_revision to true"
    )


def existing_files(hub: HfApi, repository: str, job: PushJob) -> list[str]:
    """Those of the folder that is replaced."""
    if job.replaced_folder is None:
        return []
    files = hub.list_repo_files(repository, revision=job.branch)
    return [file for file in files if file.startswith(f"{job.replaced_folder}/")]


def operations_of(job: PushJob, existing: Iterable[str]) -> list[CommitOperationAdd | CommitOperationDelete]:
    additions = [CommitOperationAdd(path, file) for path, file in sorted(job.files.items())]
    if job.card is not None:
        additions.append(CommitOperationAdd(MODEL_CARD, job.card.encode()))
    stale = [CommitOperationDelete(path, is_folder=False) for path in existing if path not in job.files]
    return [*stale, *additions]


def is_refusal(error: BaseException) -> bool:
    if isinstance(error, HfHubHTTPError):
        status = error.response.status_code
        return 400 <= status < 500 and status not in PASSING
    if isinstance(error, RuntimeError) and error.__cause__ is not None:  # of the upload of one file
        return is_refusal(error.__cause__)
    return isinstance(error, BranchTaken | HFValidationError | OfflineModeIsEnabled)


def sentence_of(error: BaseException) -> str:
    """A library's words, which come over several lines, in one. An address for an upload may hold a signature."""
    words = re.sub(r"(https?://[^\s?]+)\?[^\s']*", r"\1", " ".join(str(error).split()))
    if isinstance(error, RuntimeError) and error.__cause__ is not None:
        return f"{words} {sentence_of(error.__cause__)}"[:QUOTED_CHARACTERS]
    said = words if isinstance(error, BranchTaken) else f"{type(error).__name__}: {words}"
    return said[:QUOTED_CHARACTERS].rstrip(".")


if __name__ == "__main__":
    main()
