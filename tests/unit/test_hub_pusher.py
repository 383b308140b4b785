"""HubPusher: one push at a time, beside the training, and an end within a time."""

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from grpo_contract.config import CheckpointConfig, Deadlines, GeneratorConfig, LearnerConfig, RunConfig
from grpo_trainer.hub import pusher
from grpo_trainer.hub.job import NO_TIME_LEFT, PushJob, PushResult
from grpo_trainer.hub.process import longest_push_s
from grpo_trainer.hub.pusher import HubPusher
from grpo_trainer.hub.settings import HubSettings, Strategy
from grpo_trainer.instruments.metrics import LearnerMetrics
from harness.waiting import wait_for

DOWN = PushResult(message="ConnectError: Connection refused")
FORBIDDEN = PushResult(is_refused=True, message="HfHubHTTPError: 403 Forbidden")


class HeldSender:
    """A hub that answers when the test says so."""

    def __init__(self, *results: PushResult) -> None:
        self.results = list(results)
        """Of the first pushes; later ones succeed."""
        self.jobs: list[PushJob] = []
        self.may_answer = threading.Event()
        self.never_answered = ""
        """Commit message of pushes that end only when they are ended."""
        self.ended = 0
        self.is_stopped = False
        self.at_once = 0

    def __call__(self, job: PushJob) -> PushResult:
        self.at_once += 1
        assert self.at_once == 1
        self.jobs.append(job)
        number, give_up = len(self.jobs), time.monotonic() + 10
        while not self.returns(number) and time.monotonic() < give_up:
            time.sleep(0.01)
        self.at_once -= 1
        if self.is_stopped or self.ended >= number:
            return NO_TIME_LEFT
        return self.results.pop(0) if self.results else PushResult(url=f"commit {len(self.jobs)}")

    def returns(self, number: int) -> bool:
        is_answered = self.may_answer.is_set() and self.jobs[number - 1].message != self.never_answered
        return is_answered or self.is_stopped or self.ended >= number

    def end_current(self) -> None:
        self.ended = len(self.jobs)

    def stop(self) -> None:
        self.is_stopped = True

    @property
    def messages(self) -> list[str]:
        return [job.message for job in self.jobs]


class Scene:
    def __init__(self, folder: Path, sender: HeldSender, settings: HubSettings, collective_s: float) -> None:
        self.folder = folder
        self.sender = sender
        self.registry = CollectorRegistry()
        self.commits: list[str] = []
        self.pusher = HubPusher(
            settings,
            run_config(collective_s),
            LearnerMetrics(self.registry),
            sender,
            pushed=self.commits.append,
        )

    def save(self, step: int) -> Path:
        folder = self.folder_of(f"checkpoint-{step}")
        self.pusher.checkpoint_saved(folder, step)
        return folder

    def finish(self) -> None:
        self.pusher.finish(self.folder_of("model"))

    def folder_of(self, name: str) -> Path:
        folder = self.folder / name
        folder.mkdir()
        (folder / "README.md").touch()
        return folder

    def wait_for_pushes(self, count: int) -> None:
        wait_for(f"{count} pushes", lambda: len(self.sender.jobs) >= count, 5, interval_s=0.01)

    def counted(self) -> dict[str, float]:
        values = {
            result: self.registry.get_sample_value("grpo_hub_pushes_total", {"result": result})
            for result in ("pushed", "failed", "skipped")
        }
        return {result: value for result, value in values.items() if value is not None}


def run_config(collective_s: float) -> RunConfig:
    return RunConfig(
        name="first",
        uid="0123",
        recipe={},
        learners=LearnerConfig(pods=1, processes_per_pod=1, device="cpu", rendezvous_host="localhost"),
        generators=GeneratorConfig(service="localhost", tensor_parallel_size=1, device="cpu"),
        checkpoint=CheckpointConfig(every_steps=1, keep=1),
        deadlines=Deadlines(collective_s=collective_s),
    )


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Scene]:
    monkeypatch.setattr(pusher, "RETRY_FOR_S", 1.0)
    monkeypatch.setattr(pusher, "RETRY_EVERY_S", 0.05)

    def start(
        *results: PushResult, strategy: Strategy = Strategy.EVERY_SAVE, collective_s: float = 20, **more: Any
    ) -> Scene:
        settings = HubSettings("me/model", "main", True, strategy, **more)
        return Scene(tmp_path, HeldSender(*results), settings, collective_s)

    return start


def test_a_job(scene: Callable[..., Scene]) -> None:
    running = scene(strategy=Strategy.CHECKPOINT, is_guarded=True)
    folder = running.save(20)
    running.wait_for_pushes(1)
    assert running.sender.jobs == [
        PushJob(
            repository="me/model",
            is_private=True,
            branch="main",
            message="Training in progress, step 20",
            run="GRPORun first, uid 0123",
            is_guarded=True,
            files={"README.md": folder / "README.md", "last-checkpoint/README.md": folder / "README.md"},
            card=None,
            replaced_folder="last-checkpoint",
        )
    ]


def test_training_does_not_wait_and_a_newer_checkpoint_is_taken(scene: Callable[..., Scene]) -> None:
    running = scene()
    began = time.monotonic()
    running.save(1)
    running.wait_for_pushes(1)
    running.save(2)
    running.save(3)
    assert time.monotonic() - began < 5
    running.sender.may_answer.set()
    running.finish()
    assert running.sender.messages == [
        "Training in progress, step 1",
        "Training in progress, step 3",
        "End of training",
    ]
    assert running.counted() == {"pushed": 3, "skipped": 1}
    assert running.commits == ["commit 1", "commit 2", "commit 3"]


def test_a_checkpoint_stays_until_it_is_pushed(scene: Callable[..., Scene]) -> None:
    running = scene()
    first = running.save(1)
    running.wait_for_pushes(1)
    second = running.save(2)
    third = running.save(3)
    assert [running.pusher.needs(folder) for folder in (first, second, third)] == [True, False, True]
    running.sender.may_answer.set()
    running.finish()
    assert [running.pusher.needs(folder) for folder in (first, second, third)] == [False, False, False]


def test_every_checkpoint_where_the_recipe_says_so(scene: Callable[..., Scene]) -> None:
    running = scene(strategy=Strategy.ALL_CHECKPOINTS)
    for step in (1, 2, 3):
        running.save(step)
        running.wait_for_pushes(1)
    running.sender.may_answer.set()
    running.finish()
    assert running.sender.messages == [*(f"Training in progress, step {step}" for step in (1, 2, 3)), "End of training"]
    assert running.counted() == {"pushed": 4}


@pytest.mark.parametrize("result", [DOWN, FORBIDDEN])
def test_a_checkpoint_that_cannot_be_pushed_is_a_warning(
    scene: Callable[..., Scene], caplog: pytest.LogCaptureFixture, result: PushResult
) -> None:
    running = scene(result)
    running.sender.may_answer.set()
    running.save(1)
    wait_for("the failure", lambda: running.counted() == {"failed": 1}, 5, interval_s=0.01)
    running.finish()
    assert running.sender.messages == ["Training in progress, step 1", "End of training"]
    assert running.counted() == {"failed": 1, "pushed": 1}
    assert [
        (record.levelno, record.getMessage()) for record in caplog.records if record.levelno >= logging.WARNING
    ] == [
        (
            logging.WARNING,
            f"hub: the checkpoint of step 1 was not pushed to me/model, branch main: {result.message}. Training goes "
            "on.",
        )
    ]


def test_the_trained_model_is_tried_again(scene: Callable[..., Scene]) -> None:
    running = scene(DOWN, DOWN)
    running.sender.may_answer.set()
    running.finish()
    assert running.sender.messages == ["End of training"] * 3
    assert running.counted() == {"pushed": 1}


def test_but_not_for_ever(scene: Callable[..., Scene], caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    running = scene(*[DOWN] * 1000)
    running.sender.may_answer.set()
    running.finish()
    assert 2 <= len(running.sender.jobs) <= 21
    assert running.counted() == {"failed": 1}
    assert caplog.records[-1].levelno == logging.ERROR
    assert caplog.records[-1].getMessage() == (
        "hub: the trained model was not pushed to me/model: ConnectError: Connection refused. "
        f"It is in {tmp_path / 'model'} on the volume; push it from there."
    )


def test_what_the_hub_refuses_is_not_tried_again(scene: Callable[..., Scene]) -> None:
    running = scene(FORBIDDEN)
    running.sender.may_answer.set()
    running.finish()
    assert running.sender.messages == ["End of training"]
    assert running.counted() == {"failed": 1}


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_a_push_that_hangs_is_ended(
    scene: Callable[..., Scene], caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    running = scene(collective_s=3.0)
    running.save(1)
    running.wait_for_pushes(1)
    began = time.monotonic()
    running.finish()
    assert 1.9 <= time.monotonic() - began < 8
    assert running.sender.is_stopped
    assert running.sender.messages == ["Training in progress, step 1", "End of training"]
    assert running.counted() == {"failed": 2}
    assert warnings_of(caplog) == [
        "hub: the checkpoint of step 1 was not pushed to me/model, branch main: there was no time left. It is in "
        f"{tmp_path / 'checkpoint-1'} on the volume.",
        "hub: the trained model was not pushed to me/model: there was no time left. It is in "
        f"{tmp_path / 'model'} on the volume; push it from there.",
    ]


def test_a_checkpoint_that_takes_long_leaves_time_for_the_trained_model(
    scene: Callable[..., Scene], caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """Half of the whole time. Those that wait before the model are dropped."""
    running = scene(strategy=Strategy.ALL_CHECKPOINTS, collective_s=6.0)
    running.sender.never_answered = "Training in progress, step 1"
    running.sender.may_answer.set()
    for step in (1, 2, 3):
        running.save(step)
        running.wait_for_pushes(1)
    began = time.monotonic()
    running.finish()
    assert time.monotonic() - began >= 1.9
    assert running.sender.messages == ["Training in progress, step 1", "End of training"]
    assert not running.sender.is_stopped
    assert running.counted() == {"failed": 3, "pushed": 1}
    assert sorted(warnings_of(caplog)) == [
        f"hub: the checkpoint of step {step} was not pushed to me/model, branch main: there was no time left. It is in "
        f"{tmp_path / f'checkpoint-{step}'} on the volume."
        for step in (1, 2, 3)
    ]


def test_without_a_model_to_push_checkpoints_have_all_the_time(scene: Callable[..., Scene]) -> None:
    running = scene(collective_s=6.0)
    running.pusher.settings = HubSettings("me/model", "main", None, None, has_branch_per_checkpoint=True)
    running.save(1)
    running.wait_for_pushes(1)
    threading.Timer(2.5, running.sender.may_answer.set).start()
    running.finish()
    assert running.counted() == {"pushed": 1}


def test_how_long_a_push_may_take_goes_by_its_size(tmp_path: Path) -> None:
    with (tmp_path / "model.safetensors").open("wb") as file:
        file.truncate(10**11)  # which takes no room
    (tmp_path / "config.json").write_text("{}")
    job = PushJob(
        repository="me/model",
        is_private=None,
        branch="main",
        message="",
        run="",
        is_guarded=False,
        files={path.name: path for path in tmp_path.iterdir()},
        card=None,
        replaced_folder=None,
    )
    assert longest_push_s(job) == pytest.approx(3600 + 10_000, abs=1)


def test_nothing_to_push_is_no_wait(scene: Callable[..., Scene]) -> None:
    running = scene()
    running.pusher.settings = HubSettings("me/model", "main", None, None, has_branch_per_checkpoint=True)
    running.finish()
    assert running.sender.jobs == []


def test_a_fault_of_ours_ends_neither_the_thread_nor_the_run(scene: Callable[..., Scene], tmp_path: Path) -> None:
    running = scene()
    running.sender.may_answer.set()
    running.pusher.checkpoint_saved(tmp_path / "gone", 1)
    running.finish()
    assert running.counted() == {"failed": 1, "pushed": 1}
