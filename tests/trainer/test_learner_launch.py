"""How a learner pod ends: exit code and termination message, for each way to end."""

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from grpo_contract.config import Deadlines, RewardCode, RewardsConfig, RunConfig
from grpo_contract.environment import JOB_INDEX
from grpo_contract.failure import USER_ERROR_EXIT_CODE, UserError
from grpo_contract.recipe.old_keys import Note
from grpo_contract.rewards import BUILT_IN_REWARDS
from grpo_trainer.launch import worker_failure
from harness.waiting import wait_for
from trainer.learner_inputs import learner_config, write_problems
from trainer.learner_pod import LearnerPod

START_S = 240
"""For what needs torch: seconds of CPU, minutes on a busy machine."""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_problems(tmp_path_factory.mktemp("data") / "train.jsonl")


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Any]:
    pods = []

    def start_pod(config: RunConfig, **options: Any) -> LearnerPod:
        pods.append(LearnerPod(tmp_path, config, **options))
        return pods[-1]

    yield start_pod
    for pod in pods:
        pod.kill()


def failure_of(pod: LearnerPod) -> dict[str, str]:
    failure: dict[str, str] = json.loads(pod.termination_file.read_text())
    return failure


MISTAKES: dict[str, tuple[dict[str, Any], str, str]] = {
    "model": (
        {"model_name_or_path": "/volume/none"},
        "ModelNotFound",
        "spec.recipe.model_name_or_path: '/volume/none' does not exist, /volume holds nothing; give a model's folder "
        "on the run's volume, which is mounted at /volume, or its id on the hub.",
    ),
    "data set": (
        {"dataset_name": "/volume/none/train.jsonl"},
        "DatasetNotFound",
        "spec.recipe.dataset_name: '/volume/none/train.jsonl' does not exist, nor does /volume/none; give a .jsonl, "
        ".json or .parquet file or a folder written by save_to_disk on the run's volume, which is mounted at /volume, "
        "or the id of a data set on the hub.",
    ),
    "column": (
        {"dataset_prompt_column": "question"},
        "ColumnNotFound",
        "spec.recipe.dataset_prompt_column: data set '{data}' has no column 'question'; use one of problem, solution.",
    ),
    "entry of a mixture": (
        {"dataset_name": None, "dataset_mixture": {"datasets": [{"id": "org/data"}, {"id": "/volume/none.jsonl"}]}},
        "DatasetNotFound",
        "spec.recipe.dataset_mixture.datasets[1].id: '/volume/none.jsonl' does not exist, /volume holds nothing; give "
        "a .jsonl, .json or .parquet file or a folder written by save_to_disk on the run's volume, which is mounted at "
        "/volume, or the id of a data set on the hub.",
    ),
    "reward": (
        {"reward_funcs": ["acuracy"]},
        "RewardNotFound",
        "spec.recipe.reward_funcs: 'acuracy' is no reward function; did you mean 'accuracy'? "
        f"There are {', '.join(BUILT_IN_REWARDS)}, 'package.module:function', or a URL.",
    ),
    "reward's package": (
        {"reward_funcs": ["accuracy", "nowhere:reward"]},
        "RewardNotFound",
        "spec.recipe.reward_funcs: 'nowhere:reward' cannot be imported (there is no package 'nowhere'); give its code in "
        "spec.rewards.from, or install it in the learners' image.",
    ),
    "no rewards": (
        {"reward_funcs": []},
        "InvalidRecipe",
        "spec.recipe.reward_funcs: missing; set it to a list of reward functions.",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_refused_before_torch_is_imported(mistake: str, tiny_model: Path, data: Path, start: Any) -> None:
    recipe, reason, message = MISTAKES[mistake]
    pod = start(learner_config(tiny_model, data, **recipe))
    assert pod.wait(60) == USER_ERROR_EXIT_CODE
    assert failure_of(pod) == {"reason": reason, "message": message.format(data=data)}
    assert message.format(data=data) in pod.tail()


def test_code_of_rewards_that_is_not_there(tiny_model: Path, data: Path, start: Any) -> None:
    rewards = RewardsConfig(code=(RewardCode(path="/volume/none.py"),))
    pod = start(learner_config(tiny_model, data, reward_funcs=["none:f"]).model_copy(update={"rewards": rewards}))
    assert pod.wait(60) == USER_ERROR_EXIT_CODE
    assert failure_of(pod) == {
        "reason": "RewardNotFound",
        "message": "spec.rewards.from[0].path: '/volume/none.py' does not exist, /volume holds nothing; give a folder, a .py "
        "file or a wheel in the learners' pods.",
    }


def test_what_was_done_to_the_recipe_is_in_the_log(tiny_model: Path, data: Path, start: Any) -> None:
    notes = (Note("torch_dtype", "Is dtype today."), Note("beta", "Left out: 0.0 today; 0.04 in TRL 0.18."))
    config = learner_config(tiny_model, data, reward_funcs=[]).model_copy(update={"recipe_notes": notes})
    pod = start(config)
    assert pod.wait(60) == USER_ERROR_EXIT_CODE
    assert "spec.recipe.torch_dtype: Is dtype today.\n" in pod.tail()
    assert "spec.recipe.beta: Left out: 0.0 today; 0.04 in TRL 0.18.\n" in pod.tail()


@pytest.mark.parametrize(
    ("keys", "beginning"),
    [
        (
            {"lr_scheduler_type": "cosin"},
            "spec.recipe: cosin is not a valid SchedulerType, please select one of ['linear', 'cosine', ",
        ),
        (
            {"optim": "schedule_free_adamw"},
            "spec.recipe.optim: 'schedule_free_adamw' needs the package schedulefree, which is not in the learners' image; set it "
            "to adamw_torch, leave it out, or use an image that holds schedulefree.",
        ),
    ],
)
def test_a_value_that_no_learner_can_work_with(
    keys: dict[str, Any], beginning: str, tiny_model: Path, data: Path, start: Any
) -> None:
    pod = start(learner_config(tiny_model, data, processes=1, **keys))
    assert pod.wait(START_S) == USER_ERROR_EXIT_CODE
    failure = failure_of(pod)
    assert failure["reason"] == "InvalidRecipe"
    assert failure["message"].startswith(beginning)


def test_no_generator_until_the_deadline(tiny_model: Path, data: Path, start: Any) -> None:
    pod = start(learner_config(tiny_model, data, processes=1, deadlines=Deadlines(generators_s=2)))
    assert pod.wait(START_S) == 1
    assert failure_of(pod)["reason"] == "GeneratorsLost"


@pytest.fixture
def start_second(start: Any, tiny_model: Path, data: Path) -> Any:
    """The second one of two learners."""

    def start_pod(host: str, rendezvous_s: float) -> LearnerPod:
        deadlines = Deadlines(rendezvous_s=rendezvous_s)
        config = learner_config(tiny_model, data, processes=1, pods=2, host=host, deadlines=deadlines)
        pod: LearnerPod = start(config, env={JOB_INDEX: "1"})
        return pod

    return start_pod


def test_learner_0_without_a_name(start_second: Any) -> None:
    pod = start_second("learner-0.invalid", 7)
    assert pod.wait(START_S) == 1
    assert failure_of(pod) == {
        "reason": "RendezvousTimeout",
        "message": "learner 0 (learner-0.invalid) had no DNS record for 7 s: "
        "look at the events of its pod, and at the cluster's DNS.",
    }
    assert pod.log.read_text().count("WARNING") == 1
    assert (
        "WARNING [rank 1] learner 0 (learner-0.invalid) had no DNS record for 5 s: look at the events of its pod, and at the cluster's "
        "DNS. The attempt ends after 7 s of it (said once).\n"
    ) in pod.log.read_text()


def test_a_learner_that_finds_nobody_at_the_name(start_second: Any) -> None:
    pod = start_second("localhost", 3)
    assert pod.wait(START_S) == 1
    assert failure_of(pod) == {
        "reason": "RendezvousTimeout",
        "message": "learner 0 (localhost) did not answer at port 29500 for 3 s: look at its log, and at the events of its pod.",
    }


def test_other_pods_that_do_not_come(tiny_model: Path, data: Path, start: Any) -> None:
    pod = start(learner_config(tiny_model, data, processes=1, pods=3, deadlines=Deadlines(rendezvous_s=3)))
    assert pod.wait(START_S) == 1
    assert failure_of(pod) == {
        "reason": "RendezvousTimeout",
        "message": "learner 1, 2 (of 3) did not come for 3 s: look for learner pods that are pending or failed, and at their logs.",
    }


FOR_MEMORY = "probably for memory: raise spec.learners.resources.limits.memory."


@pytest.mark.parametrize(
    ("codes", "is_users", "message"),
    [
        ({0: 1}, False, "learner process 0 exited with code 1: see its log."),
        ({2: 1, 1: -11}, False, "learner process 1 was ended by SIGSEGV: see its log."),
        ({3: -9}, False, f"learner process 3 was ended by SIGKILL: {FOR_MEMORY}"),
        # The others fail because it is gone.
        ({0: 1, 3: -9}, False, f"learner process 3 was ended by SIGKILL: {FOR_MEMORY}"),
        ({0: 1, 1: 78, 2: 78, 3: -9}, True, "learner process 1 exited with code 78: see its log."),
    ],
)
def test_cause_and_remedy_are_of_one_worker(codes: dict[int, int], is_users: bool, message: str) -> None:
    error = worker_failure(codes)
    assert (isinstance(error, UserError), error.failure.reason, str(error)) == (is_users, "LearnerError", message)


def test_sigterm_ends_launcher_and_workers(tiny_model: Path, data: Path, start: Any) -> None:
    pod = start(learner_config(tiny_model, data, processes=1))
    wait_for("the worker starts to train", lambda: "training begins" in pod.log.read_text(), START_S)
    asked = time.monotonic()
    pod.terminate()
    assert pod.wait(20) == 128 + signal.SIGTERM
    assert time.monotonic() - asked < 10
    assert pod.termination_file.read_text() == ""
