"""Trackers in their process: what they are told arrives, and nothing that goes wrong with one reaches the training."""

import json
import logging
import os
import sys
import threading
import time
from collections.abc import Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from transformers import TrainerControl, TrainerState, TrainingArguments

from grpo_trainer.end_request import AskedToEnd
from grpo_trainer.reports.tracker_report import TrackerReport
from grpo_trainer.trackers import process
from grpo_trainer.trackers.process import TrackerProcess
from grpo_trainer.trackers.records import Record, Start
from grpo_trainer.trackers.settings import environment_of
from harness.layout import TESTS
from trainer.tracked import history_of, logged_by_trackio, records_of, scalars_of

STEPS = 3
UID = "11111111-2222-3333-4444-555555555555"
COMPLETIONS: dict[str, list[Any]] = {
    "prompt": ["1 + 1 =", "2 + 2 ="],
    "completion": ["2", "5"],
    "accuracy": [1.0, None],
}
OWN_PROCESS = {"PYTHONPATH": f"{os.environ.get('PYTHONPATH', '')}:{TESTS}"}
"""For a process of these tests in the place of ours."""
NEVER_S = 30
"""A tracker that is waited for would take longer."""


@pytest.fixture(autouse=True)
def no_account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    places = ("WANDB_PROJECT", "TENSORBOARD_LOGGING_DIR", "TRACKIO_DIR", "TRACKIO_SPACE_ID")
    for name in ("WANDB_API_KEY", "WANDB_MODE", "HF_TOKEN", *places):
        monkeypatch.delenv(name, raising=False)


class Refusing(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.send_error(HTTPStatus.FORBIDDEN)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def refusing_server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def start_of(folder: Path, *trackers: str) -> Start:
    return Start(trackers=trackers, folder=folder, name="qwen-math", id=UID, config={"beta": 0.04, "max_steps": STEPS})


def tell_all(trackers: TrackerProcess) -> None:
    for step in range(1, STEPS + 1):
        values = {"reward": step / 4, "rewards/accuracy/mean": None, "eval_loss": 0.5, "learning_rate": 1e-6}
        trackers.tell(Record(step=step, values=values, completions=COMPLETIONS if step == STEPS else None))


def test_tensorboard(tmp_path: Path) -> None:
    with TrackerProcess(start_of(tmp_path / "trackers", "tensorboard"), {}) as trackers:
        tell_all(trackers)
    assert scalars_of(tmp_path / "trackers" / "tensorboard") == {
        "train/reward": [(1, 0.25), (2, 0.5), (3, 0.75)],
        "eval/loss": [(step, 0.5) for step in (1, 2, 3)],
        "train/learning_rate": [(step, pytest.approx(1e-6)) for step in (1, 2, 3)],
    }


def test_tensorboard_where_the_environment_wants_it(tmp_path: Path) -> None:
    elsewhere = {"TENSORBOARD_LOGGING_DIR": str(tmp_path / "elsewhere")}
    with TrackerProcess(start_of(tmp_path / "trackers", "tensorboard"), elsewhere) as trackers:
        tell_all(trackers)
    assert len(scalars_of(tmp_path / "elsewhere")["train/reward"]) == STEPS


def test_wandb_without_an_account_is_kept_on_the_volume(tmp_path: Path) -> None:
    environment = {"WANDB_PROJECT": "proofs", "WANDB_ENTITY": "the-lab", "WANDB_RUN_GROUP": "nightly"}
    with TrackerProcess(start_of(tmp_path / "trackers", "wandb"), environment) as trackers:
        tell_all(trackers)

    records = records_of(tmp_path / "trackers" / "wandb")
    (run,) = (record.run for record in records if record.WhichOneof("record_type") == "run")
    assert (run.run_id, run.display_name, run.project, run.run_group) == (UID, "qwen-math", "proofs", "nightly")
    history = history_of(records)
    assert [(row["train/global_step"], row["train/reward"]) for row in history] == [(1, 0.25), (2, 0.5), (3, 0.75)]
    assert "train/rewards/accuracy/mean" not in history[0]
    (table,) = tmp_path.glob("trackers/wandb/wandb/offline-run-*/files/media/table/completions*.json")
    assert json.loads(table.read_text()) == {
        "columns": ["prompt", "completion", "accuracy"],
        "data": [["1 + 1 =", "2", 1.0], ["2 + 2 =", "5", None]],
    }


def test_wandb_whose_server_does_not_take_it_is_kept_on_the_volume(
    tmp_path: Path, refusing_server: str, capfd: pytest.CaptureFixture[str]
) -> None:
    account = {"WANDB_API_KEY": "x" * 40, "WANDB_BASE_URL": refusing_server}
    with TrackerProcess(start_of(tmp_path / "trackers", "wandb"), account) as trackers:
        tell_all(trackers)
    history = history_of(records_of(tmp_path / "trackers" / "wandb"))
    assert [row["train/global_step"] for row in history] == [1, 2, 3]
    assert "`wandb sync` sends it." in capfd.readouterr().out


def database_in(folder: Path) -> dict[str, str]:
    return environment_of({}, folder, {})


def test_trackio_is_kept_on_the_volume_and_an_attempt_goes_on_with_the_run(tmp_path: Path) -> None:
    start = start_of(tmp_path / "trackers", "trackio")
    for _ in range(2):
        with TrackerProcess(start, database_in(start.folder)) as trackers:
            tell_all(trackers)
    told = [
        (
            "qwen-math",
            step,
            TOLD | {"train/reward": step / 4, "train/global_step": step} | (TABLE if step == STEPS else {}),
        )
        for step in (1, 2, 3)
    ]
    assert logged_by_trackio(start.folder / "trackio") == 2 * told


TOLD = {"eval/loss": 0.5, "train/learning_rate": 1e-6}
TABLE = {
    "completions": {
        "_type": "trackio.table",
        "_value": [
            {"prompt": "1 + 1 =", "completion": "2", "accuracy": 1.0},
            {"prompt": "2 + 2 =", "completion": "5", "accuracy": None},
        ],
    }
}


@pytest.mark.parametrize(
    ("token", "why"),
    [
        ({}, "there is no HF_TOKEN for the Space me/space"),
        ({"HF_TOKEN": "hf_test"}, "HfHubHTTPError: Server error '501 "),
    ],
    ids=["no token", "refused"],
)
@pytest.mark.parametrize("named_by", ["recipe", "environment"])
def test_trackio_without_its_space_is_kept_on_the_volume(
    named_by: str,
    token: dict[str, str],
    why: str,
    tmp_path: Path,
    refusing_server: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    start = start_of(tmp_path / "trackers", "trackio")
    environment = database_in(start.folder) | {"HF_ENDPOINT": refusing_server} | token
    if named_by == "recipe":
        start = start.model_copy(update={"config": {**start.config, "trackio_space_id": "me/space"}})
    else:
        environment |= {"TRACKIO_SPACE_ID": "me/space"}
    with TrackerProcess(start, environment) as trackers:
        tell_all(trackers)
    assert [step for _, step, _ in logged_by_trackio(start.folder / "trackio")] == [1, 2, 3]
    said = capfd.readouterr().out
    assert f"WARNING trackio: {why}" in said
    assert f"The run is kept in {start.folder / 'trackio'}: `trackio sync` sends it." in said


def test_one_that_cannot_be_opened_takes_no_other_along(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("no folder")
    nowhere = {"TENSORBOARD_LOGGING_DIR": str(tmp_path / "file" / "below")}
    with TrackerProcess(start_of(tmp_path / "trackers", "tensorboard", "wandb"), nowhere) as trackers:
        tell_all(trackers)
    assert len(history_of(records_of(tmp_path / "trackers" / "wandb"))) == STEPS
    assert "tensorboard: NotADirectoryError" in capfd.readouterr().out


class OfAReward:
    def __str__(self) -> str:
        return "of a reward"


def test_what_is_no_json_is_told_as_text() -> None:
    extra = [np.float32(0.5), np.int64(3), OfAReward(), None, "text", [np.float32(0.25)]]
    line = Record(step=1, values={"reward": 0.5}, completions={"extra": extra}).to_line()
    assert Record.model_validate_json(line).completions == {
        "extra": ["0.5", "3", "of a reward", None, "text", ["0.25"]]
    }


def a_learner(extra: dict[Any, list[Any]]) -> Any:
    logs: dict[str, Any] = {"prompt": ["1 + 1 ="], "completion": ["2"], "rewards": {"accuracy": [1.0]}, "extra": extra}
    return SimpleNamespace(
        _logs=logs | {"advantages": [0.0]},
        log_completions=True,
        log_unique_prompts=False,
        state=TrainerState(global_step=1),
    )


def log_steps(learner: Any, trackers: TrackerProcess) -> None:
    report = TrackerReport(learner, trackers)
    arguments = TrainingArguments(output_dir="unused", report_to=[])
    for step in range(1, STEPS + 1):
        report.on_log(arguments, TrainerState(global_step=step), TrainerControl(), {"reward": step / 4})


def test_numpy_numbers_of_a_reward_are_in_the_table(tmp_path: Path) -> None:
    with TrackerProcess(start_of(tmp_path / "trackers", "wandb"), {}) as trackers:
        log_steps(a_learner({"x": [np.float32(0.5)]}), trackers)
    table = next(tmp_path.glob("trackers/wandb/wandb/offline-run-*/files/media/table/completions*.json"))
    assert json.loads(table.read_text()) == {
        "columns": ["step", "prompt", "completion", "accuracy", "x", "advantage"],
        "data": [[1, "1 + 1 =", "2", 1.0, "0.5", 0.0]],
    }


def test_what_cannot_be_told_ends_no_run(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    with TrackerProcess(start_of(tmp_path / "trackers", "tensorboard"), {}) as trackers:
        log_steps(a_learner({"x": ["\ud800"]}), trackers)  # half a character
        trackers.tell(Record(step=STEPS, values={"reward": 1.0}))
    assert scalars_of(tmp_path / "trackers" / "tensorboard") == {"train/reward": [(STEPS, 1.0)]}
    (said,) = [record.message for record in caplog.records if record.name == process.__name__]
    assert said.startswith("tensorboard: PydanticSerializationError: ")
    assert said.endswith("Training goes on without what they were to be told (said once)")


def test_a_process_that_cannot_be_started_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with TrackerProcess(start_of(tmp_path, "wandb"), {}) as trackers:
        tell_all(trackers)
    assert [record.message for record in caplog.records] == [
        f"wandb: FileNotFoundError: [Errno 2] No such file or directory: '{tmp_path / 'python'}'. "
        "Training goes on without what they were to be told (said once)",
        "wandb: behind or ended, steps are lost (said once)",
    ]


def test_a_process_that_has_ended_stops_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    with TrackerProcess(start_of(tmp_path, "tensorboard"), {}) as trackers:
        assert trackers._process is not None
        trackers._process.kill()
        trackers._process.wait()
        tell_all(trackers)
    assert [record.message for record in caplog.records] == ["tensorboard: behind or ended, steps are lost (said once)"]


def test_one_that_does_not_end_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(process, "MODULE", "trainer.hanging_tracker")
    monkeypatch.setattr(process, "FINISH_S", 1.0)
    started = time.monotonic()
    with TrackerProcess(start_of(tmp_path, "wandb"), OWN_PROCESS) as trackers:
        tell_all(trackers)
    assert time.monotonic() - started < NEVER_S
    assert "wandb: not all was sent within 1 s" in caplog.text


def test_one_that_hangs_does_not_keep_a_pod_that_is_asked_to_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(process, "MODULE", "trainer.hanging_tracker")
    monkeypatch.setattr(process, "FINISH_WHEN_ASKED_S", 1.0)
    with pytest.raises(AskedToEnd), TrackerProcess(start_of(tmp_path, "wandb"), OWN_PROCESS):
        raise AskedToEnd("while it hangs")
    assert "wandb: not all was sent within 1 s" in caplog.text


def test_one_that_is_behind_loses_steps_and_holds_nobody_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(process, "MODULE", "trainer.hanging_tracker")
    monkeypatch.setattr(process, "FINISH_S", 0.1)
    monkeypatch.setattr(process, "WAITING", 5)
    long = Record(step=1, values={"note": "x" * 100_000})  # more than a pipe holds
    with TrackerProcess(start_of(tmp_path, "wandb"), OWN_PROCESS) as trackers:
        for _ in range(20):
            trackers.tell(long)
        assert trackers._lines.qsize() <= 5
    assert caplog.text.count("behind or ended, steps are lost") == 1


def test_one_that_is_behind_loses_tables_before_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A table of completions may have megabytes, and what waits is in the learner's memory."""
    monkeypatch.setattr(process, "MODULE", "trainer.hanging_tracker")
    monkeypatch.setattr(process, "FINISH_S", 0.1)
    monkeypatch.setattr(process, "WAITING_BYTES", 150_000)
    long = Record(step=1, values={"reward": 0.5}, completions={"completion": ["x" * 100_000]})  # more than a pipe holds
    without = Record(step=1, values={"reward": 0.5}).to_line()
    with TrackerProcess(start_of(tmp_path, "wandb"), OWN_PROCESS) as trackers:
        for _ in range(20):
            trackers.tell(long)
        assert trackers._waiting_bytes == 2 * len(long.to_line()) + 18 * len(without)
        waiting = [trackers._lines.get() for _ in range(trackers._lines.qsize())]
    assert waiting[-18:] == [without] * 18
    assert [record.message for record in caplog.records] == [
        "wandb: behind, tables of completions are lost (said once)",
        f"wandb: not all was sent within 0 s. What there is lies in {tmp_path} on the volume.",
    ]
