"""A learner pod that gets SIGTERM saves the last finished step, and the run goes on from there digit for digit."""

import errno
import json
import math
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from transformers import TrainerState

from grpo_contract.config import RunConfig
from grpo_contract.environment import GRACE_PERIOD
from grpo_trainer.building import fleet_settings
from grpo_trainer.end_of_pod import EndOfPod
from grpo_trainer.end_request import EXIT_CODE, AskedToEnd, EndRequest
from grpo_trainer.ending import Ending
from grpo_trainer.storage.checkpoint_files import MARKER
from harness.waiting import wait_for
from trainer.learner_inputs import learner_config, write_problems
from trainer.learner_pod import WITH_TESTS, LearnerPod
from trainer.test_zero3 import Finished, numbers, run

HELD_LAUNCH = Path(__file__).with_name("held_launch.py")
STEPS = 5
SAVED = 3
"""The last step of an epoch, after which a new one draws random numbers."""
MESSAGE = (
    "The learner pod was asked to end: it was deleted, or its node is drained. Step 3 is saved, and the next attempt goes on from "
    "there."
)
START_S = 240
RUN_S = 300


@pytest.fixture(scope="module")
def config(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> RunConfig:
    """12 problems, 4 a step; no step has a checkpoint of its own."""
    data = write_problems(tmp_path_factory.mktemp("data") / "train.jsonl")
    return learner_config(tiny_model, data, max_steps=STEPS, every_steps=100, vllm_importance_sampling_correction=False)


@pytest.fixture(scope="module")
def undisturbed(config: RunConfig, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    return run(tmp_path_factory.mktemp("undisturbed"), config, "zero3")


def start(folder: Path, config: RunConfig, held: int = 0, how: str = "step", **env: str) -> LearnerPod:
    """`held`: the step before whose completions the ranks hold still; none if it is 0."""
    return LearnerPod(
        folder,
        config,
        program=[str(HELD_LAUNCH)],
        arguments=[str(folder), str(held), how],
        env={"PYTHONPATH": WITH_TESTS} | env,
    )


@pytest.fixture
def held(tmp_path: Path, config: RunConfig) -> Iterator[Any]:
    """Starts a pod, and asks it to end when its ranks hold still."""
    pods = []

    def start_pod(step: int, how: str, **env: str) -> LearnerPod:
        pod = start(tmp_path, config, step, how, **env)
        pods.append(pod)
        wait_for("ranks that hold still", lambda: is_held(pod), START_S, interval_s=0.1)
        pod.terminate()
        asked = "the pod is asked to end: learners save the last finished step, if they can within"
        wait_for("the launcher's word", lambda: asked in pod.log.read_text(), START_S, interval_s=0.1)
        return pod

    def is_held(pod: LearnerPod) -> bool:
        assert pod.process.poll() is None, pod.tail()
        return (tmp_path / "held").exists()

    yield start_pod
    for pod in pods:
        pod.kill()


def checkpoints(folder: Path) -> list[str]:
    (run_folder,) = (folder / "volume" / "runs").iterdir()
    return [marker.parent.name for marker in (run_folder / "checkpoints").glob(f"checkpoint-*/{MARKER}")]


@pytest.mark.parametrize(
    ("step", "how"),
    [
        (SAVED, "step"),  # in the middle of a step, which is made to its end
        (SAVED + 1, "wait"),  # while completions of the next one are waited for
    ],
)
def test_the_run_goes_on_from_the_last_finished_step(
    step: int, how: str, held: Any, tmp_path: Path, config: RunConfig, undisturbed: Finished
) -> None:
    pod = held(step, how)
    (tmp_path / "go").touch() if how == "step" else None
    assert pod.wait(RUN_S) == EXIT_CODE, pod.tail()
    assert json.loads(pod.termination_file.read_text()) == {"reason": "LearnerAskedToEnd", "message": MESSAGE}
    log = pod.log.read_text()
    assert "Traceback" not in log
    assert "LearnerError" not in log
    assert log.count("checkpoint saved") == 1
    assert checkpoints(tmp_path) == [f"checkpoint-{SAVED}"]

    again = start(tmp_path, config)
    try:
        assert again.wait(RUN_S) == 0, again.tail()
    finally:
        again.kill()
    assert f"resuming from the checkpoint of step {SAVED}\n" in again.log.read_text()
    resumed = Finished(config, tmp_path)
    assert numbers(resumed) == numbers(undisturbed)
    assert [entry["step"] for entry in resumed.steps()] == list(range(1, STEPS + 1))
    assert (resumed.model / "model.safetensors").read_bytes() == (undisturbed.model / "model.safetensors").read_bytes()


@pytest.mark.parametrize(
    "grace_period_s",
    [
        8,  # the pod's time is up
        1000,  # twice as long as a step, and more: another rank is gone, or hangs
    ],
)
def test_a_step_that_does_not_end(grace_period_s: int, held: Any, tmp_path: Path) -> None:
    pod = held(2, "step", **{GRACE_PERIOD: str(grace_period_s)})
    assert pod.wait(RUN_S) == 128 + signal.SIGTERM
    assert time.monotonic() - pod.terminated_at >= 5  # not at once
    assert pod.termination_file.read_text() == ""
    assert checkpoints(tmp_path) == []


Asked = tuple[EndOfPod, EndRequest]


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Asked:
    """Of a pod that has a minute for its workers."""
    monkeypatch.setenv(GRACE_PERIOD, "63")
    request = EndRequest(tmp_path)
    end_of_pod = EndOfPod(request)
    assert not end_of_pod.is_due(1e9)
    end_of_pod.ask(signal.SIGTERM, None)
    return end_of_pod, request


def test_workers_that_have_nothing_to_save(asked: Asked) -> None:
    end_of_pod, request = asked
    assert end_of_pod.is_due(100)
    assert not request.is_made()


def test_workers_that_do_not_come_to_save(asked: Asked) -> None:
    end_of_pod, request = asked
    request.heed(20)
    assert [end_of_pod.is_due(now_s) for now_s in (100, 119, 120)] == [False, False, True]
    assert request.is_made()


def test_workers_that_save_have_the_time_of_the_pod(asked: Asked) -> None:
    end_of_pod, request = asked
    request.heed(20)
    assert not end_of_pod.is_due(100)
    request.heed(math.inf)
    assert not end_of_pod.is_due(119)
    request.ignore()  # they have saved, and end
    assert [end_of_pod.is_due(now_s) for now_s in (121, 159, 160)] == [False, False, True]


def test_a_pod_that_has_less_time_than_a_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(GRACE_PERIOD, "13")
    request = EndRequest(tmp_path)
    request.heed(20)
    end_of_pod = EndOfPod(request)
    end_of_pod.ask(signal.SIGTERM, None)
    assert [end_of_pod.is_due(now_s) for now_s in (100, 109, 110)] == [False, False, True]


@pytest.mark.parametrize("within_s", [20, math.inf])
def test_workers_that_cannot_be_asked_are_ended(asked: Asked, within_s: float, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(request: EndRequest) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(EndRequest, "make", full)
    end_of_pod, request = asked
    request.heed(within_s)
    assert end_of_pod.is_due(100)


class PlayedLearner(SimpleNamespace):
    """Says what was saved of it, with which random numbers."""

    def __init__(self, step: int) -> None:
        super().__init__(
            state=TrainerState(global_step=step), args=None, control=None, model=None, callback_handler=self, saved=[]
        )

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        self.saved.append(torch.rand(3).tolist())

    def on_save(self, args: Any, state: TrainerState, control: Any) -> None:
        self.saved.append("marked")


ANOTHER = MESSAGE.replace(
    "The learner pod was asked to end: it was deleted, or its node is drained.",
    "Another learner pod was asked to end, and this one ends with it.",
)


def ending_after(step: int, newest: int | None, folder: Path | None = None) -> Any:
    known = None if newest is None else SimpleNamespace(marker=SimpleNamespace(step=newest))
    keeper: Any = SimpleNamespace(newest=known, for_recovery=False, trouble=None)
    ending: Any = Ending(EndRequest(folder), keeper)
    ending.on_step_end(None, TrainerState(global_step=step), None)
    return ending


@pytest.mark.parametrize("newest", [None, 2])
def test_a_step_is_saved_as_it_was_at_its_end(newest: int | None) -> None:
    ending = ending_after(3, newest)
    expected = torch.rand(3).tolist()
    learner = PlayedLearner(3)
    assert str(ending.save_step(learner)) == ANOTHER
    assert learner.saved == [expected, "marked"]


def test_a_step_that_cannot_be_saved_is_not_said_to_be() -> None:
    ending = ending_after(3, 2)
    ending._keeper.trouble = "no room"
    ending._keeper.loss = lambda step: f"The checkpoint of step {step} was not written"
    assert str(ending.save_step(PlayedLearner(3))) == ANOTHER.replace(
        "Step 3 is saved, and the next attempt goes on from there.", "The checkpoint of step 3 was not written."
    )


def test_a_step_is_not_saved_twice() -> None:
    learner = PlayedLearner(3)
    assert str(ending_after(3, 3).save_step(learner)) == ANOTHER
    assert learner.saved == []


@pytest.mark.parametrize("was_asked", [False, True])
def test_a_pod_says_whether_it_or_another_was_asked(was_asked: bool, tmp_path: Path) -> None:
    """A Job deletes the others when one has ended, maybe within the same second."""
    request, learner = EndRequest(tmp_path), PlayedLearner(3)
    request.make() if was_asked else None
    learner.callback_handler = SimpleNamespace(on_save=lambda args, state, control: request.make())
    end = ending_after(3, 2, tmp_path).save_step(learner)
    assert (end.failure.message, end.failure.follows) == ((MESSAGE, False) if was_asked else (ANOTHER, True))


def test_a_request_is_seen_before_the_next_step(tmp_path: Path) -> None:
    request, state = EndRequest(tmp_path), TrainerState(global_step=3)
    ending = ending_after(3, None, tmp_path)
    ending.on_step_begin(None, state, None)
    request.make()
    with pytest.raises(AskedToEnd):
        ending.on_step_begin(None, state, None)


def test_requests_are_heeded_when_there_is_something_to_save(tmp_path: Path) -> None:
    request, keeper = EndRequest(tmp_path), SimpleNamespace(newest=None)
    ending: Any = Ending(request, keeper)  # type: ignore[arg-type]
    ending.on_step_begin(None, TrainerState(), None)
    assert request.heeded_within_s() is None
    ending.on_step_end(None, TrainerState(global_step=1), None)
    assert request.heeded_within_s() == pytest.approx(5, abs=1)
    ending.saves()
    assert request.heeded_within_s() == math.inf
    ending.on_step_begin(None, TrainerState(global_step=1), None)
    assert request.heeded_within_s() == pytest.approx(5, abs=1)
    request.ignore()
    assert request.heeded_within_s() is None


def test_a_step_is_waited_for_as_long_as_the_longest_one_may_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some only learn from what another has generated."""
    times = iter([0.0, 100.0, 100.0, 101.0, 101.0, 251.0])
    monkeypatch.setattr("grpo_trainer.ending.time", SimpleNamespace(monotonic=lambda: next(times)))
    request, state = EndRequest(tmp_path), TrainerState(global_step=1)
    ending: Any = Ending(request, SimpleNamespace(newest=None))  # type: ignore[arg-type]
    for expected in (205, 205, 305):
        ending.on_step_begin(None, state, None)
        ending.on_step_end(None, state, None)
        assert request.heeded_within_s() == expected


def test_all_ranks_are_there_before_a_save_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is gone would be waited for in vain, for as long as a save may take."""
    ending, learner, request = ending_after(3, None, tmp_path), PlayedLearner(3), EndRequest(tmp_path)
    met: list[tuple[bool, int]] = []

    class Ranks:
        def wait_for_everyone(self) -> None:
            met.append((request.heeded_within_s() == math.inf, len(learner.saved)))

    monkeypatch.setattr(learner, "_save_checkpoint", lambda model, trial: (ending.saves(), learner.saved.append("")))
    monkeypatch.setattr("grpo_trainer.ending.PartialState", Ranks)
    ending.save_step(learner)
    assert met == [(False, 0), (True, 2)]


def test_the_fleet_is_told_of_a_request(tmp_path: Path, config: RunConfig) -> None:
    request, observer = EndRequest(tmp_path), cast("Any", None)
    settings = fleet_settings(config, observer, request)
    assert not settings.is_asked_to_end()
    request.make()
    assert settings.is_asked_to_end()


def test_a_wait_may_be_left_while_a_step_has_computed_nothing() -> None:
    ending: Any = Ending(EndRequest(None), SimpleNamespace(newest=None))  # type: ignore[arg-type]
    ending.on_step_begin(None, TrainerState(), None)
    assert not ending.is_between_steps  # nothing to save
    for event, is_between_steps in (
        (ending.on_step_end, False),  # an evaluation may follow, which belongs to the step
        (ending.on_step_begin, True),
        (ending.on_substep_end, False),
        (ending.on_step_end, False),
    ):
        event(None, TrainerState(global_step=1), None)
        assert ending.is_between_steps is is_between_steps
