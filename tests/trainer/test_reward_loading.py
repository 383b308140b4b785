"""Reward processes load the functions: what cannot be loaded ends the run before its first step."""

import os
import pickle
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from grpo_contract.failure import RunFailure, UserError
from grpo_contract.rewards import BUILT_IN_REWARDS
from grpo_trainer.rewards.arguments import RewardArguments
from grpo_trainer.rewards.processes import crew
from grpo_trainer.rewards.processes.environment import environment_of_process
from grpo_trainer.rewards.processes.messages import Signature
from grpo_trainer.rewards.processes.process import RewardProcess
from grpo_trainer.rewards.processes.remote import by_process, num_processes
from grpo_trainer.rewards.score import FAILED
from trainer.scoring import Scored

MODULES = {
    "plain": "import os\ndef score(completions, answer, level=None, **_): return [1.0] * len(completions)\n"
    "def leave(completions, **_): return [0.5] if completions == ['stay'] else os._exit(4)\n",
    "model": "import torch\nscore = torch.nn.Linear(1, 1)\n",
    "out_of_reach": "raise TimeoutError('timed out')\n",
    "deadly": "import os\nos._exit(9)\n",
    "slow": "import time\ntime.sleep(3600)\n",
    "once": "import os, pathlib\nmarker = pathlib.Path(__file__).with_name('loaded')\n"
    "marker.touch(exist_ok=False)\ndef score(completions, **_): os._exit(4)\n",
}


@pytest.fixture(autouse=True)
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in MODULES.items():
        (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}")


def test_the_columns_that_functions_need() -> None:
    with Scored("format", "plain:score", "accuracy") as scored:
        assert scored.processes.required_columns() == {
            "format": (),
            "plain:score": ("answer",),
            "accuracy": ("solution",),
        }


REFUSED: dict[str, tuple[list[str], RewardArguments, type[RunFailure], str, str]] = {
    # functions, parameters, error, reason, message
    "no such function": (
        ["format", "plain:scores"], RewardArguments(), UserError, "RewardNotFound",
        "spec.recipe.reward_funcs: 'plain:scores' names no function, plain has no callable 'scores'; correct the name "
        "after the colon.",
    ),
    "a parameter": (
        ["plain:score", "soft_overlong_punishment"], RewardArguments(max_completion_len=1), UserError, "InvalidRecipe",
        "spec.recipe.soft_punish_cache: 4096 is more than max_completion_len 1; lower it or raise max_completion_len.",
    ),
    "a model": (
        ["model:score"], RewardArguments(), UserError, "RewardNotFound",
        "spec.recipe.reward_funcs: 'model:score' is a model; wrap it in a function of your own that scores completions "
        "with it.",
    ),
    "no mistake of the user's": (
        ["out_of_reach:score"], RewardArguments(), RunFailure, "LearnerError", "TimeoutError: timed out",
    ),
    "a process that ends": (
        ["deadly:a", "deadly:b"], RewardArguments(), RunFailure, "LearnerError",
        "the process of the reward functions deadly:a, deadly:b ended with exit code 9 while it loaded them.",
    ),
}  # fmt: skip


def test_functions_that_take_too_long_to_load() -> None:
    with pytest.raises(RunFailure) as caught, Scored("slow:score", loading_s=2):
        pass
    assert caught.value.failure.reason == "LoadingTimeout"
    assert str(caught.value) == "the process of the reward functions slow:score did not load them within 2 s."


@pytest.mark.parametrize("case", REFUSED)
def test_functions_that_cannot_be_loaded(case: str) -> None:
    names, arguments, error, reason, message = REFUSED[case]
    with pytest.raises(RunFailure) as caught, Scored(*names, arguments=arguments):
        pass
    assert type(caught.value) is error
    assert caught.value.failure.reason == reason
    assert str(caught.value) == message


def test_functions_that_cannot_be_loaded_again() -> None:
    with Scored("once:score", "format") as scored:
        reasons = ["its process ended with exit code 4"] + ["FileExistsError: [Errno 17]"] * 2
        for expected in reasons:
            assert scored.scores(["a", "b"]) == {"once:score": [FAILED] * 2, "format": [0.0] * 2}
            ((key, (count, why)),) = scored.errors().items()
            assert (key, count) == (("once:score", "WorkerLost"), 2)
            assert expected in why


def at_each_start(monkeypatch: pytest.MonkeyPatch, *happens: Callable[[], Any]) -> None:
    """Of a process: first what is listed, then nothing but the start."""
    start, before = RewardProcess.start, iter(happens)

    def start_after_it(process: RewardProcess) -> Mapping[str, Signature]:
        next(before, lambda: None)()
        return start(process)

    monkeypatch.setattr(RewardProcess, "start", start_after_it)


def garble() -> None:
    raise pickle.UnpicklingError("pickle data was truncated")


NOT_STARTED = (
    "the process of the reward functions plain:{} cannot be started: UnpicklingError: pickle data was truncated ("
)


def test_an_error_that_nobody_thought_of_ends_the_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    at_each_start(monkeypatch, garble)
    scored = Scored("plain:score")
    with pytest.raises(RunFailure) as caught:
        scored.processes.required_columns()
    scored.processes.__exit__(None, None, None)
    assert type(caught.value) is RunFailure
    assert caught.value.failure.reason == "LearnerError"
    assert str(caught.value).startswith(NOT_STARTED.format("score"))


def test_later_it_costs_a_call(monkeypatch: pytest.MonkeyPatch) -> None:
    at_each_start(monkeypatch, lambda: None, garble, garble)
    with Scored("plain:leave") as scored:
        for expected in ("its process ended with exit code 4", NOT_STARTED.format("leave")):
            assert scored.scores(["a"]) == {"plain:leave": [FAILED]}
            ((key, (_, why)),) = scored.errors().items()
            assert (key, why[: len(expected)]) == (("plain:leave", "WorkerLost"), expected)
        assert scored.scores(["stay"]) == {"plain:leave": [0.5]}


def test_a_start_without_an_answer_ends_at_a_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    goes_on = threading.Event()
    at_each_start(monkeypatch, goes_on.wait)
    monkeypatch.setattr(crew, "LATER_S", 0.1)
    scored = Scored("plain:score", loading_s=0.1)
    with pytest.raises(RunFailure) as caught:
        scored.processes.required_columns()
    scored.processes.__exit__(None, None, None)
    goes_on.set()
    assert caught.value.failure.reason == "LoadingTimeout"
    assert str(caught.value) == "the process of the reward functions plain:score has given no answer for 0.2 s."


def test_functions_of_one_module_share_a_process() -> None:
    names = ["a:x", "format", "b.c:x", "a:y", "accuracy"]
    assert by_process(names) == [["a:x", "a:y"], ["format", "accuracy"], ["b.c:x"]]


@pytest.mark.parametrize(
    ("cpus", "ranks", "processes"), [(1, "1", 2), (2, "2", 2), (16, "1", 4), (64, "8", 4), (24, "8", 3)]
)
def test_processes_of_a_rank(cpus: int, ranks: str, processes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cpus)))
    monkeypatch.setenv("LOCAL_WORLD_SIZE", ranks)
    assert num_processes("accuracy") == processes
    assert (num_processes("mine:score"), num_processes("http://judge/score")) == (1, 2)


RANK = {"HOME": "/scratch", "RANK": "11", "LOCAL_RANK": "3", "WORLD_SIZE": "16", "PYTHONUNBUFFERED": "1"}
MEETING = {
    "MASTER_ADDR": "a",
    "MASTER_PORT": "1",
    "TORCHELASTIC_USE_AGENT_STORE": "True",
    "ACCELERATE_USE_DEEPSPEED": "true",
}


@pytest.mark.parametrize(
    ("visible", "own"), [({}, "3"), ({"CUDA_VISIBLE_DEVICES": "4,5,6,7"}, "7"), ({"CUDA_VISIBLE_DEVICES": ""}, "3")]
)
def test_a_process_is_no_rank_and_has_the_ranks_gpu(visible: dict[str, str], own: str) -> None:
    ours: dict[str, Any] = RANK | MEETING | visible
    assert environment_of_process(ours, "cpu") == RANK | visible
    assert environment_of_process(ours, "cuda") == RANK | {"CUDA_VISIBLE_DEVICES": own, "LOCAL_RANK": "0"}


def test_code_that_the_run_brings_along_comes_first() -> None:
    code = {"GRPO_REWARD_CODE": "/scratch/a/0:/volume/b"}
    assert environment_of_process(RANK | code, "cpu")["PYTHONPATH"] == "/scratch/a/0:/volume/b"
    path = environment_of_process(RANK | code | {"PYTHONPATH": "/mine"}, "cpu")["PYTHONPATH"]
    assert path == "/scratch/a/0:/volume/b:/mine"


def test_built_in_functions_need_what_they_say() -> None:
    columns: dict[str, Sequence[str]] = {"accuracy": ("solution",), "cosine": ("solution",), "length": ("solution",)}
    with Scored(*BUILT_IN_REWARDS) as scored:
        assert scored.processes.required_columns() == {name: columns.get(name, ()) for name in BUILT_IN_REWARDS}
