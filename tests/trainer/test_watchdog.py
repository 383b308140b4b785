"""What hangs in a learner ends in a named reason, with the stacks of all threads in the log."""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from grpo_contract.config import Deadlines, RewardCode, RewardsConfig
from harness.layout import TRAINER_IMAGE
from harness.waiting import wait_for
from trainer.learner_inputs import learner_config, write_problems
from trainer.learner_pod import LAUNCHER, ONE_RANK, WITH_TESTS, LearnerPod, two_pods

RANK = Path(__file__).with_name("watchdog_rank.py")
START_S = 240
DEADLINE_S = 10
SLOW_S = 30
"""For an end, on a busy machine."""
SHORT = Deadlines(rendezvous_s=60, loading_s=60, collective_s=DEADLINE_S, checkpoint_s=DEADLINE_S)


@contextmanager
def ranks(folder: Path, training: str, deadlines: Deadlines = SHORT) -> Iterator[list[LearnerPod]]:
    config = learner_config(folder / "model", folder / "train.jsonl", deadlines=deadlines)
    with two_pods(folder, config, RANK, training) as pods:
        yield pods


def ended(rank: LearnerPod, other: LearnerPod) -> dict[str, str]:
    """What it left for the operator when it ended, with the other one stopped after the last round."""
    wait_for("the last round", lambda: "round 2" in text_of(rank), START_S)
    other.stop()
    assert rank.wait(DEADLINE_S + SLOW_S) == 1, rank.tail()
    failure: dict[str, str] = json.loads(rank.termination_file.read_text())
    return failure


def end_of(alone: LearnerPod) -> dict[str, str]:
    """What one that needs no other to end has left for the operator."""
    try:
        assert alone.wait(START_S) == 1, alone.tail()
    finally:
        alone.kill()
    failure: dict[str, str] = json.loads(alone.termination_file.read_text())
    return failure


def text_of(rank: LearnerPod) -> str:
    return rank.log.read_text()


HANGS: dict[str, tuple[str, str, str, list[str]]] = {
    "a_rank_is_stopped": (
        "CollectiveTimeout", "learning", "collectiveSeconds", ["in all_reduce", "in meet", "in a_rank_is_stopped", "in learn"],
    ),
    "a_drive_hangs": ("CheckpointTimeout", "saving", "checkpointSeconds", ["in read_bytes", "in a_drive_hangs"]),
    "rows_do_not_come": ("CollectiveTimeout", "learning", "collectiveSeconds", ["in next_row", "in rows_do_not_come"]),
}  # fmt: skip


@pytest.mark.parametrize("training", HANGS)
def test_what_hangs_ends(training: str, tmp_path: Path) -> None:
    reason, step, field, stack = HANGS[training]
    with ranks(tmp_path, training) as pods:
        failure = ended(*pods)
    assert failure["reason"] == reason
    assert failure["message"].startswith(
        f"learner process 0 got no further for {DEADLINE_S} s while {step}: its main thread is in "
    )
    assert failure["message"].endswith(f", or raise spec.deadlines.{field} where it rightly takes so long.")
    assert f"no progress for {DEADLINE_S} s while {step}; above are the stacks of all threads" in text_of(pods[0])
    for line in [*stack, "in _watch"]:  # of the main thread, and of another one
        assert line in text_of(pods[0])


def test_the_place_where_it_hangs_is_told(tmp_path: Path) -> None:
    with ranks(tmp_path, "a_rank_is_stopped") as pods:
        message = ended(*pods)["message"]
    assert "its main thread is in all_reduce (distributed_c10d.py, line " in message
    assert ", called from learn (worker.py, line " in message


def test_processes_that_do_not_come(tmp_path: Path) -> None:
    config = learner_config(
        tmp_path / "model", tmp_path / "train.jsonl", deadlines=Deadlines(rendezvous_s=DEADLINE_S, loading_s=600)
    )
    env = {**ONE_RANK, "WORLD_SIZE": "2", "PYTHONPATH": WITH_TESTS}
    alone = LearnerPod(tmp_path, config, program=[str(RANK)], arguments=["a_long_step"], env=env)
    assert end_of(alone) == {
        "reason": "RendezvousTimeout",
        "message": f"learner 1 (of 2) did not come for {DEADLINE_S} s: look for learner pods that are pending or failed, and at their logs.",
    }


def test_loading_has_longer(tmp_path: Path) -> None:
    deadlines = SHORT.model_copy(update={"loading_s": DEADLINE_S, "collective_s": 600})
    with ranks(tmp_path, "a_rank_is_stopped_while_it_loads", deadlines) as pods:
        failure = ended(*pods)
    assert failure["reason"] == "LoadingTimeout"


def test_a_long_step_is_left_alone(tmp_path: Path) -> None:
    with ranks(tmp_path, "a_long_step", SHORT.model_copy(update={"collective_s": 20})) as pods:
        for pod in pods:
            assert pod.wait(START_S) == 0, pod.tail()
            assert "trained" in text_of(pod)
            assert "no progress" not in text_of(pod)


def test_every_group_of_processes_has_its_time_out(tmp_path: Path) -> None:
    """Torch's own and the one that DeepSpeed makes: later than any deadline of ours."""
    with ranks(tmp_path, "groups_tell_their_time_outs") as (first, _):
        assert first.wait(START_S) == 0, first.tail()
    assert SHORT.library_s == 9390
    assert "time-outs: [9390.0, 9390.0]" in text_of(first)


def test_who_has_the_interpreters_lock_ends_too(tmp_path: Path) -> None:
    """With the stacks, but without a reason."""
    with ranks(tmp_path, "an_extension_keeps_the_lock") as pods:
        assert pods[0].wait(START_S) == 1, pods[0].tail()
    assert "in an_extension_keeps_the_lock" in text_of(pods[0])
    assert pods[0].termination_file.read_text() == ""


def test_a_time_out_of_gloos_has_the_reason(tmp_path: Path) -> None:
    deadlines = SHORT.model_copy(update={"collective_s": 600})
    with ranks(tmp_path, "a_library_times_out", deadlines) as pods:
        failure = ended(*pods)
    assert failure["reason"] == "CollectiveTimeout"
    assert "Timed out waiting 2000ms" in failure["message"]
    assert "in a_library_times_out" in text_of(pods[0])


def test_a_launcher_that_hangs_ends(tmp_path: Path) -> None:
    """It looks at what lies on the volume before there is a worker."""
    (tmp_path / "volume").mkdir()
    os.mkfifo(tmp_path / "volume" / "rewards.whl")
    rewards = RewardsConfig(code=(RewardCode(path="/volume/rewards.whl"),))
    config = learner_config(tmp_path / "model", tmp_path / "train.jsonl", deadlines=Deadlines(loading_s=DEADLINE_S))
    pod = LearnerPod(tmp_path, config.model_copy(update={"rewards": rewards}))
    failure = end_of(pod)
    assert failure["reason"] == "LoadingTimeout"
    assert failure["message"].startswith(
        f"a learner's launcher got no further for {DEADLINE_S} s while loading: its main thread is in "
    )
    assert "in unpacked" in text_of(pod)


@pytest.mark.parametrize(
    ("program", "module", "who"),
    [
        (LAUNCHER, "huggingface_hub", "a learner's launcher"),
        (("-m", "grpo_trainer.worker"), "torch", "learner process 0"),
    ],
)
def test_an_import_that_hangs_ends(
    program: Sequence[str], module: str, who: str, tiny_model: Path, tmp_path: Path
) -> None:
    """The image's file system may hang as well. Of the first thing that takes long: what comes before it has the same deadline."""
    modules = tmp_path / "modules"
    modules.mkdir()
    (modules / f"{module}.py").write_text("import time\ntime.sleep(600)\n")
    problems = write_problems(tmp_path / "train.jsonl")
    config = learner_config(tiny_model, problems, deadlines=Deadlines(loading_s=DEADLINE_S), push_to_hub=True)
    env = ({} if program is LAUNCHER else ONE_RANK) | {"PYTHONPATH": f"{modules}:{TRAINER_IMAGE}"}
    pod = LearnerPod(tmp_path, config, program=program, env=env)
    failure = end_of(pod)
    assert failure["reason"] == "LoadingTimeout"
    assert failure["message"].startswith(
        f"{who} got no further for {DEADLINE_S} s while loading: its main thread is in <module> ({module}.py"
    )
