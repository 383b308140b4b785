"""Reward functions in processes of their own: what each way to fail costs, and that everything else goes on."""

import math
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from grpo_contract.failure import RunFailure, UserError
from grpo_contract.metrics import RewardError
from grpo_trainer.rewards import registry
from grpo_trainer.rewards.arguments import RewardArguments
from grpo_trainer.rewards.processes.messages import Call, Load, Mishap, Outcome
from grpo_trainer.rewards.processes.process import RewardProcess
from grpo_trainer.rewards.score import FAILED
from harness.waiting import wait_for
from trainer.scoring import NEVER, Scored, reward_processes

DEADLINE_S = 4.0
WELL_WITHIN_S = 2 * DEADLINE_S
"""One deadline and a busy machine, but no second deadline."""
RESTART_S = 8.0
"""Of a process, on a busy machine."""
RIGHT, WRONG, ENDLESS = r"\boxed{5}", r"\boxed{6}", r"\boxed{9^{9^{9^{9}}}}"

MODULES = {
    "hanging": """
import re, time
calls = []
def hang_later(completions, **_):
    calls.append(1)
    if len(calls) > 1:
        time.sleep(600)
    return [0.5] * len(completions)
def hang(completions, **_):
    re.match("(a+)+$", "a" * 60 + "b")  # never returns to the interpreter: no signal and no thread can end it
""",
    "good": """
import time
calls = []
def halves(completions, **_):
    return [0.5] * len(completions)
def slow(completions, **_):
    time.sleep(1)
    return [1.0] * len(completions)
def count(completions, **_):
    calls.append(1)
    return [float(len(calls))] * len(completions)
def recall(completions, **_):
    return [float(len(calls))] * len(completions)
def longest(completions, **_):
    return [1.0 if len(text) == max(map(len, completions)) else 0.0 for text in completions]
""",
    "bad": """
import math, os, signal, time
from grpo_trainer.rewards.score import FAILED
def raising(completions, **_):
    raise ValueError("no judge\\nat all")
def exiting(completions, **_):
    raise SystemExit("bye")
def short(completions, **_):
    return [1.0] * (len(completions) - 1)
def words(completions, **_):
    return ["good"] * len(completions)
def nothing(completions, **_):
    return None
def choosy(completions, **_):
    return [1.0, None, FAILED, math.inf, math.nan, 1e39, True, 0]
def crash(completions, **_):
    os.kill(os.getpid(), signal.SIGSEGV)
def leave(completions, **_):
    os._exit(3)
""",
    "coroutines": """
import asyncio
loops = []
async def judge(completions, prompts, **_):
    await asyncio.sleep(0.01)
    loops.append(asyncio.get_running_loop())
    return [1.0 if loops[0] is loops[-1] else 0.0 for _ in completions]
async def broken(completions, **_):
    await asyncio.sleep(0)
    raise RuntimeError("no answer")
""",
    "given": """
import os
def rewards_so_far(completions, trainer_state, **_):
    return [sum(entry["reward"] for entry in trainer_state.log_history)]
def last_reward(completions, trainer_state, **_):
    return [trainer_state.log_history[-1]["reward"]]
def number_of_logs(completions, trainer_state, **_):
    if len(trainer_state.log_history) % 2:
        os._exit(1)
    return [float(len(trainer_state.log_history))]
def state(completions, trainer_state, **_):
    return [trainer_state.global_step + trainer_state.log_history[0]["reward"]] * len(completions)
def logging(completions, log_extra, log_metric, **_):
    log_extra("length", [len(text) for text in completions])
    log_metric("longest", max(map(len, completions)))
    return [1.0] * len(completions)
def half_logged(completions, log_metric, **_):
    log_metric("lost", 1)
    raise ValueError
class Own:
    pass
def own_log(completions, log_extra, **_):
    log_extra("own", [Own() for _ in completions])
    return [1.0] * len(completions)
def odd_log(completions, log_extra, **_):
    log_extra("odd", [lambda: 0])
    return [1.0] * len(completions)
def columns(prompts, completions, completion_ids, level, **_):
    return [len(p) + 10 * len(c) + 100 * len(i) + 1000 * l for p, c, i, l in zip(prompts, completions, completion_ids, level)]
""",
    "slow_to_load": """
import os, pathlib, time
marker = pathlib.Path(__file__).with_name("loaded")
if marker.exists():
    time.sleep(60)
marker.touch()
def leave(completions, **_):
    os._exit(3)
""",
    "parents": """
import os, pathlib, subprocess, sys
child = subprocess.Popen(["sleep", "600"])
pathlib.Path(__file__).with_name(f"{child.pid}.child").touch()
def crash(completions, **_):
    os.abort()
def wait(completions, **_):
    os.kill(os.getpid(), 19)
def halves(completions, **_):
    return [0.5] * len(completions)
""",
    "bounded": """
import resource
resource.setrlimit(resource.RLIMIT_DATA, (2 * 2**30, 2 * 2**30))  # as docs/rewards.md advises
def hoard(completions, **_):
    return [float(len(bytearray(3 * 2**30)))] * len(completions)
def halves(completions, **_):
    return [0.5] * len(completions)
""",
    "without_torch": """
import sys
def modules(completions, **_):
    return [float(name in sys.modules) for name in completions]
""",
}


@pytest.fixture(autouse=True)
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in MODULES.items():
        (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}")


GROUP = [RIGHT, WRONG, RIGHT + " " * 10, "no", WRONG, RIGHT, RIGHT, "<think>\nStep 1:\n</think>"]


def test_the_built_in_ones_score_as_they_do_alone() -> None:
    columns: dict[str, Any] = {
        "prompts": [[{"role": "user", "content": number % 2}] for number in range(16)],
        "completion_ids": [list(range(number)) for number in range(16)],
        "solution": ["$5$"] * 12 + ["hello"] * 4,
    }
    arguments = RewardArguments(cosine_max_len=20, max_completion_len=10, soft_punish_cache=5)
    completions = [[{"role": "assistant", "content": text}] for text in GROUP * 2]
    with Scored(*registry.BUILT_IN, arguments=arguments) as scored:
        found = scored.scores(completions, **columns)
        unparsable = (4, "there is no answer in the row's solution")
        assert scored.errors() == {
            (name, "UnparsableSolution"): unparsable for name in ("accuracy", "cosine", "length")
        }
    for name, scores in found.items():
        assert scores == registry.load(name, arguments)(completions=completions, **columns), name


def test_a_completion_that_hangs_costs_itself_and_one_deadline() -> None:
    completions = [RIGHT, ENDLESS, WRONG] + [RIGHT] * 13
    with Scored("accuracy", "format", timeout_s=DEADLINE_S) as scored:
        found = scored.scores(completions, solution=["$5$"] * 16)
        assert found == {"accuracy": [1.0, FAILED, 0.0] + [1.0] * 13, "format": [0.0] * 16}
        assert scored.errors() == {("accuracy", "Timeout"): (1, f"a call did not end within {DEADLINE_S:g} s")}
        assert DEADLINE_S <= scored.seconds < WELL_WITHIN_S


def test_where_completions_are_compared_one_that_hangs_costs_its_prompts_completions() -> None:
    completions = [RIGHT, RIGHT + " " * 10, WRONG, ENDLESS]
    with Scored("length", timeout_s=DEADLINE_S) as scored:
        found = scored.scores(completions, prompts=["a", "a", "b", "b"], solution=["$5$"] * 4)
        assert found == {"length": [0.5, -0.5, FAILED, FAILED]}
        assert scored.errors()["length", "Timeout"][0] == 2


def test_several_that_hang_cost_each_its_own_deadline() -> None:
    """Two processes share three of them: the second one of a process waits for the first."""
    completions = [ENDLESS, ENDLESS, RIGHT, ENDLESS] + [RIGHT] * 6
    with Scored("accuracy", timeout_s=DEADLINE_S) as scored:
        found = scored.scores(completions, solution=["$5$"] * 10)
        assert found["accuracy"] == [FAILED, FAILED, 1.0, FAILED] + [1.0] * 6
        assert scored.errors()["accuracy", "Timeout"][0] == 3
        assert scored.seconds < 3 * DEADLINE_S + 2 * RESTART_S


def test_a_function_that_hangs_costs_one_deadline_and_no_other_functions_scores() -> None:
    with Scored("hanging:hang", "good:halves", "format", timeout_s=DEADLINE_S) as scored:
        for _ in range(2):
            scored.wait_until_ready()  # its process is another one the second time
            found = scored.scores(["a", "b"])
            assert found == {"hanging:hang": [FAILED] * 2, "good:halves": [0.5] * 2, "format": [0.0] * 2}
            assert scored.errors() == {("hanging:hang", "Timeout"): (2, f"a call did not end within {DEADLINE_S:g} s")}
            assert DEADLINE_S <= scored.seconds < WELL_WITHIN_S


def test_a_process_that_does_not_even_read_is_ended() -> None:
    before = set(reward_processes(os.getpid()))
    with Scored("good:halves", timeout_s=DEADLINE_S) as scored:
        (process,) = set(reward_processes(os.getpid())) - before
        os.kill(process, signal.SIGSTOP)
        assert scored.scores(["a" * 2**20] * 4) == {"good:halves": [FAILED] * 4}
        assert scored.errors() == {("good:halves", "Timeout"): (4, f"a call did not end within {DEADLINE_S:g} s")}
        assert scored.seconds < WELL_WITHIN_S
        assert scored.scores(["a"]) == {"good:halves": [0.5]}


def test_slow_is_not_hung() -> None:
    with Scored("good:slow", timeout_s=30) as scored:
        assert scored.scores(["a", "b"]) == {"good:slow": [1.0, 1.0]}
        assert scored.errors() == {}
        assert scored.seconds >= 1


def test_what_is_not_scored_when_the_step_has_to_go_on_is_given_up() -> None:
    completions = [ENDLESS] * 4 + [RIGHT]
    with Scored("accuracy", "format", timeout_s=DEADLINE_S, scoring_s=DEADLINE_S / 2) as scored:
        found = scored.scores(completions, solution=["$5$"] * 5)
        assert found["accuracy"][:4] == [FAILED] * 4
        assert found["format"] == [0.0] * 5
        assert scored.errors()["accuracy", "Timeout"][1] == "scoring all completions of the step took too long"
        assert scored.seconds < DEADLINE_S


LOST: list[float | None] = [FAILED] * 8
BAD: dict[str, tuple[list[float | None], dict[str, tuple[int, str]]]] = {
    # function: its scores of eight completions, {reason: (completions, beginning of why)}
    "bad:raising": (LOST, {"Exception": (8, "ValueError: no judge (")}),
    "bad:exiting": (LOST, {"Exception": (8, "SystemExit: bye (")}),
    "bad:short": (LOST, {"WrongLength": (8, "it returned 7 scores for 8 completions")}),
    "bad:words": (LOST, {"Exception": (8, "ValueError: could not convert string to float: 'good' (")}),
    "bad:nothing": (LOST, {"Exception": (8, "TypeError: 'NoneType' object is not iterable (")}),
    "bad:choosy": ([1.0, None, FAILED, FAILED, None, FAILED, 1.0, 0.0], {"Failed": (3, "it said FAILED")}),
    "bad:crash": (LOST, {"WorkerLost": (8, "its process was ended by SIGSEGV")}),
    "bad:leave": (LOST, {"WorkerLost": (8, "its process ended with exit code 3")}),
    "coroutines:broken": (LOST, {"Exception": (8, "RuntimeError: no answer (")}),
}


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scored]:
    folder = tmp_path_factory.mktemp("bad")
    for name in ("bad", "coroutines"):
        (folder / f"{name}.py").write_text(MODULES[name])
    before = os.environ.get("PYTHONPATH", "")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", f"{folder}:{before}")
        with Scored(*BAD) as scored:
            yield scored


@pytest.mark.parametrize("times", [1, 2])
def test_functions_that_fail_fail_alone(bad: Scored, times: int) -> None:
    """And again at the next step: those whose process has ended have another one."""
    assert bad.scores(["completion"] * 8) == {name: scores for name, (scores, _) in BAD.items()}
    expected = {(name, reason): of for name, (_, reasons) in BAD.items() for reason, of in reasons.items()}
    errors = bad.errors()
    assert errors.keys() == expected.keys()
    for key, (count, beginning) in expected.items():
        assert (errors[key][0], errors[key][1][: len(beginning)]) == (count, beginning)


def test_a_process_that_dies_over_a_completion_costs_that_completion() -> None:
    completions = [RIGHT, ENDLESS] + [WRONG] * 8
    with Scored("accuracy", timeout_s=60) as scored:
        others = set(reward_processes(os.getpid()))
        found: dict[str, list[float | None]] = {}
        thread = threading.Thread(target=lambda: found.update(scored.scores(completions, solution=["$5$"] * 10)))
        thread.start()
        victim = wait_for("a process at work", lambda: busiest(others), 30, interval_s=0.05)
        os.kill(victim, signal.SIGKILL)
        thread.join(60)
        assert found["accuracy"] == [1.0, FAILED] + [0.0] * 8
        assert scored.errors() == {("accuracy", "WorkerLost"): (1, "its process was ended by SIGKILL")}


def busiest(processes: set[int]) -> int | None:
    """The one that has used the more CPU time than it takes to start."""
    ticks = {pid: int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11]) for pid in processes}
    first, *others = sorted(ticks, key=lambda pid: ticks[pid], reverse=True)
    return first if ticks[first] > ticks[others[0]] + 50 else None


def test_a_module_keeps_what_it_remembers() -> None:
    with Scored("good:count", "good:recall") as scored:
        assert scored.scores(["a"]) == {"good:count": [1.0], "good:recall": [1.0]}
        assert scored.scores(["a", "b"]) == {"good:count": [2.0] * 2, "good:recall": [2.0] * 2}


def test_a_function_of_the_users_sees_the_whole_batch() -> None:
    completions = ["a" * number for number in range(20)]
    with Scored("good:longest") as scored:
        assert scored.scores(completions) == {"good:longest": [0.0] * 19 + [1.0]}


def test_coroutines_run_in_one_event_loop() -> None:
    with Scored("coroutines:judge") as scored:
        assert [scored.scores(["a"]) for _ in range(2)] == [{"coroutines:judge": [1.0]}] * 2
        assert scored.errors() == {}


def test_what_trl_hands_to_functions() -> None:
    with Scored("given:state", "given:columns", "given:logging", "given:half_logged") as scored:
        found = scored.scores(["ab", "c"], level=[1, 2])
        assert found == {
            "given:state": [7.5, 7.5],
            "given:columns": [1121.0, 2111.0],
            "given:logging": [1.0, 1.0],
            "given:half_logged": [FAILED] * 2,
        }
        assert scored.extras == [("length", [2, 1])]
        assert scored.metrics == [("longest", 2.0)]


def test_the_trainers_log_grows_where_functions_read_it() -> None:
    """Each call brings what is new; a process that was replaced needs all of it."""
    state = SimpleNamespace(global_step=0, log_history=[{"reward": 1.0}])
    with Scored("given:rewards_so_far", "given:last_reward") as scored:
        for reward, total in ((2.0, 3.0), (4.0, 7.0)):
            state.log_history.append({"reward": reward})
            found = scored.scores(["a"], trainer_state=state)
            assert (found["given:rewards_so_far"], found["given:last_reward"]) == ([total], [reward])
    with Scored("given:number_of_logs") as scored:
        for expected in (FAILED, 4.0, FAILED, 6.0):
            found = scored.scores(["a"], trainer_state=state)
            state.log_history.append({"reward": 0.0})
            assert found == {"given:number_of_logs": [expected]}


def test_what_cannot_be_sent_fails_that_function_alone() -> None:
    with Scored("given:odd_log", "good:halves", "format") as scored:
        found = scored.scores(["a"])
        assert found == {"given:odd_log": [FAILED], "good:halves": [0.5], "format": [0.0]}
        ((key, (count, why)),) = scored.errors().items()
        assert (key, count) == (("given:odd_log", "Exception"), 1)
        assert why.startswith("what it logged cannot leave its process: ")
        found = scored.scores(["a"], solution=[lambda: 0])
        assert found == {"given:odd_log": [FAILED], "good:halves": [FAILED], "format": [0.0]}
        assert scored.errors()["good:halves", "Exception"][1].startswith(
            "the data set's columns cannot be sent to its process: "
        )


def test_what_cannot_be_read_in_training_fails_that_function_alone() -> None:
    with Scored("given:own_log", "given:state") as scored:
        for _ in range(2):
            assert scored.scores(["a"]) == {"given:own_log": [FAILED], "given:state": [7.5]}
            ((key, (count, said)),) = scored.errors().items()
            assert (key, count) == (("given:own_log", "Exception"), 1)
            assert said.startswith("what it logged cannot be read in training: ")


def test_no_process_imports_torch() -> None:
    with Scored("without_torch:modules", "accuracy") as scored:
        found = scored.scores(["torch", "numpy", "trl", "transformers", "datasets"], solution=["$5$"] * 5)
        assert found["without_torch:modules"] == [0.0] * 5
        for process in reward_processes(os.getpid()):
            assert "torch" not in Path(f"/proc/{process}/maps").read_text()


def children(folder: Path) -> list[int]:
    """What the processes of the module `parents` have started, of which nobody but PID 1 could take leave."""
    return [int(file.stem) for file in folder.glob("*.child")]


def are_alive(processes: Iterable[int]) -> list[int]:
    return [pid for pid in processes if (state := state_of(pid)) is not None and state != "Z"]


def wait_until_they_end(processes: Iterable[int]) -> None:
    """They have been killed; the kernel takes its time."""
    wait_for("their end", lambda: not are_alive(processes), 10, interval_s=0.05)


def state_of(process: int) -> str | None:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return None


def test_a_module_may_bound_its_memory() -> None:
    with Scored("bounded:hoard", "bounded:halves") as scored:
        assert scored.scores(["a"]) == {"bounded:hoard": [FAILED], "bounded:halves": [0.5]}
        ((key, (_, why)),) = scored.errors().items()
        assert (key, why[:13]) == (("bounded:hoard", "Exception"), "MemoryError: ")


@pytest.mark.parametrize(("function", "reason"), [("crash", "WorkerLost"), ("wait", "Timeout")])
def test_what_a_function_has_started_ends_with_its_process(tmp_path: Path, function: str, reason: str) -> None:
    """Its port and its memory are free when the module is loaded again."""
    with Scored(f"parents:{function}", timeout_s=DEADLINE_S) as scored:
        (child,) = children(tmp_path)
        assert are_alive([child]) == [child]
        assert scored.scores(["a"]) == {f"parents:{function}": [FAILED]}
        assert [key[1] for key in scored.errors()] == [reason]
        wait_until_they_end([child])
    wait_until_they_end(children(tmp_path))


def test_what_it_has_started_ends_also_when_nobody_was_calling(tmp_path: Path) -> None:
    before = set(reward_processes(os.getpid()))
    with Scored("parents:halves") as scored:
        (process,), (child,) = set(reward_processes(os.getpid())) - before, children(tmp_path)
        os.kill(process, signal.SIGKILL)
        wait_until_they_end([process])
        assert scored.scores(["a"]) == {"parents:halves": [0.5]}
        wait_until_they_end([child])
        assert len(children(tmp_path)) == 2
    wait_until_they_end(children(tmp_path))


def test_what_it_has_started_ends_when_it_cannot_be_loaded(tmp_path: Path) -> None:
    with pytest.raises(UserError), Scored("parents:none"):
        pass
    wait_for("a child", lambda: children(tmp_path), 10, interval_s=0.05)
    wait_until_they_end(children(tmp_path))


TRAINER = """
import time
from trainer.scoring import Scored
with Scored("hanging:hang", "good:halves") as scored:
    scored.scores(["a"])
"""


def test_they_end_with_training_even_from_a_call_that_hangs() -> None:
    training = subprocess.Popen(
        [sys.executable, "-c", TRAINER],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([os.environ["PYTHONPATH"], *sys.path])},
    )
    try:
        processes = wait_for("two processes", lambda: two_at_work(training.pid), 60, interval_s=0.05)
    finally:
        training.kill()
        training.wait()
    wait_for("their end", lambda: not any(Path(f"/proc/{pid}").exists() for pid in processes), 10, interval_s=0.05)


def two_at_work(parent: int) -> list[int] | None:
    """When one of them is at what it never comes back from."""
    processes = reward_processes(parent)
    return processes if len(processes) == 2 and busiest(set(processes)) else None


def test_they_end_with_the_context() -> None:
    before = set(reward_processes(os.getpid()))
    with Scored("hanging:hang", "format"):
        started = set(reward_processes(os.getpid())) - before
        assert len(started) == 3
    wait_for("their end", lambda: not started & set(reward_processes(os.getpid())), 10, interval_s=0.05)


def test_one_that_is_being_started_ends_with_the_context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not only when it has loaded its module, and may have started a server of its own."""
    begun, may_go_on = threading.Event(), threading.Event()
    started: list[int] = []

    class SlowToStart(subprocess.Popen[bytes]):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            begun.set()
            may_go_on.wait(10)
            super().__init__(*arguments, **options)
            started.append(self.pid)

    monkeypatch.setattr(subprocess, "Popen", SlowToStart)
    (tmp_path / "loaded").touch()  # it takes a minute
    scored = Scored("slow_to_load:leave")
    assert begun.wait(10)
    (crew,) = scored.processes._crews.values()
    closing = threading.Thread(target=crew.close)
    closing.start()
    wait_for("closing", lambda: crew._is_closed, 10, interval_s=0.01)
    may_go_on.set()
    (process,) = wait_for("a process", lambda: started, 10, interval_s=0.01)
    wait_until_they_end([process])


def test_one_that_was_closed_is_started_no_more() -> None:
    before = set(reward_processes(os.getpid()))
    process = RewardProcess(Load(("good:halves",), RewardArguments(), 1.0), 1.0, os.environ)
    process.close()
    with pytest.raises(RunFailure, match=r"^the process of the reward functions good:halves cannot be started: "):
        process.start()
    assert set(reward_processes(os.getpid())) == before


def test_a_process_that_takes_too_long_to_come_back_holds_up_no_step() -> None:
    with Scored("slow_to_load:leave", "format", scoring_s=5) as scored:
        for why in ("its process ended with exit code 3", "scoring all completions of the step took too long"):
            assert scored.scores(["a"]) == {"slow_to_load:leave": [FAILED], "format": [0.0]}
            assert [error[1] for error in scored.errors().values()] == [why]
            assert scored.seconds < 10


def test_the_end_of_a_batch_holds_for_calls_that_were_begun_before_it_was_known() -> None:
    """While completions are being written, nobody knows when scoring will have to be done."""
    process = RewardProcess(Load(("hanging:hang_later",), RewardArguments(), NEVER), NEVER, os.environ)
    try:
        process.start()
        columns = {"completions": ["a", "b"]}
        batch = SimpleNamespace(ends_at=math.inf)
        outcomes = process.outcomes(pickle.dumps(Call("hanging:hang_later", [1, 1], columns, None)), [1, 1], batch)
        assert next(outcomes) == Outcome([0.5])
        batch.ends_at = time.monotonic()
        late = Mishap(RewardError.TIMEOUT, "scoring all completions of the step took too long")
        assert next(outcomes) == Outcome([None], {0: late})
    finally:
        process.close()
