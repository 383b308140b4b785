"""Exact values of the first built-in rewards, and how names become functions."""

import inspect
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from grpo_contract.failure import UserError
from grpo_contract.rewards import BUILT_IN_REWARDS
from grpo_trainer.rewards import accuracy as accuracy_module
from grpo_trainer.rewards import registry
from grpo_trainer.rewards.accuracy import accuracy_reward
from grpo_trainer.rewards.arguments import RewardArguments
from grpo_trainer.rewards.format import format_reward
from grpo_trainer.rewards.score import FAILED
from grpo_trainer.rewards.tag_count import tag_count_reward
from grpo_trainer.sources import Source

COMPLETE = "<think>\nwork\n</think>\n<answer>\n5\n</answer>"

ACCURACY: list[tuple[str, str, float | None]] = [
    # completion, solution, reward
    (r"\boxed{5}", "$5$", 1.0),
    (r"so it is \boxed{5}", "5", 1.0),
    (r"\boxed{6}", "$5$", 0.0),
    (r"\boxed{\frac{1}{2}}", "$0.5$", 1.0),
    (r"\boxed{50\%}", "$0.5$", 1.0),
    (r"\boxed{x^2+2x+1}", "$(x+1)^2$", 1.0),
    (r"\boxed{5\text{ cm}}", "$5$", 1.0),
    (r"\boxed{1,2}", r"$\{1,2\}$", 1.0),
    (r"\boxed{5}", r"\boxed{5}", 1.0),
    # The answer must be boxed, once, and correct LaTeX.
    ("5", "$5$", 0.0),
    ("", "$5$", 0.0),
    (r"\boxed{}", "$5$", 0.0),
    (r"\boxed{5", "$5$", 0.0),
    (r"\boxed{6} \boxed{5}", "$5$", 0.0),
    (r"\boxed{\frac12}", r"$\frac{1}{2}$", 0.0),
    (r"\boxed{\frac}", "$5$", 0.0),
    # A solution that cannot be parsed gives no reward, whatever the answer.
    (r"\boxed{5}", "", None),
    (r"\boxed{5}", "hello", None),
    (r"\boxed{B}", "B", None),
]


@pytest.mark.parametrize(("completion", "solution", "reward"), ACCURACY)
def test_accuracy(completion: str, solution: str, reward: float | None) -> None:
    assert accuracy_reward([completion], [solution]) == [reward]


def test_accuracy_takes_messages_and_ignores_other_columns() -> None:
    completions = [[{"role": "assistant", "content": r"\boxed{5}"}], [{"role": "assistant", "content": r"\boxed{4}"}]]
    assert accuracy_reward(completions, ["$5$", "$5$"], prompts=["", ""], source=["a", "b"]) == [1.0, 0.0]


def test_an_answer_that_takes_too_long_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accuracy_module, "VERIFY_TIMEOUT_S", 1)
    assert accuracy_reward([r"\boxed{9^{9^{9^{9}}}}", r"\boxed{5}"], ["$5$", "$5$"]) == [FAILED, 1.0]


def test_an_error_of_math_verify_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> bool:
        raise RecursionError

    monkeypatch.setattr(accuracy_module, "verify", fail)
    assert accuracy_reward([r"\boxed{5}"], ["$5$"]) == [FAILED]


def test_accuracy_refuses_to_score_off_the_main_thread() -> None:
    with ThreadPoolExecutor(1) as pool, pytest.raises(AssertionError, match="main thread"):
        pool.submit(accuracy_reward, [r"\boxed{5}"], ["$5$"]).result()
    assert threading.current_thread() is threading.main_thread()


FORMAT: list[tuple[str, float, float]] = [
    # completion, format, tag_count
    (COMPLETE, 1.0, 1.0),
    ("<think>\n\n</think>\n<answer>\n\n</answer>", 1.0, 1.0),
    ("<think>\na\nb\n</think>\n<answer>\nc\nd\n</answer>", 1.0, 1.0),
    (COMPLETE + "\nand more", 1.0, 1.0),  # Open-R1's MULTILINE: `$` is the end of a line
    (COMPLETE + " and more", 0.0, 1.0),
    ("Well: " + COMPLETE, 0.0, 1.0),
    ("<think>work</think>\n<answer>\n5\n</answer>", 0.0, 0.5),
    ("<think>\nwork\n</think>\n\n<answer>\n5\n</answer>", 0.0, 1.0),
    ("<think>\nwork\n</think><answer>\n5\n</answer>", 0.0, 0.5),
    (COMPLETE.replace("<think>\n", ""), 0.0, 0.75),
    (COMPLETE.replace("\n</answer>", ""), 0.0, 0.75),
    (COMPLETE + "\n" + COMPLETE, 1.0, 0.0),
    ("<think>\n<think>\nwork\n</think>\n<answer>\n5\n</answer>", 1.0, 0.75),
    ("5", 0.0, 0.0),
    ("", 0.0, 0.0),
]


@pytest.mark.parametrize(("completion", "well_formed", "tags"), FORMAT)
def test_format_and_tag_count(completion: str, well_formed: float, tags: float) -> None:
    assert format_reward([completion]) == [well_formed]
    assert tag_count_reward([completion]) == [tags]
    assert format_reward([[{"role": "assistant", "content": completion}]]) == [well_formed]


def test_built_in_names_are_the_contracts() -> None:
    assert tuple(registry.BUILT_IN) == BUILT_IN_REWARDS


COLUMNS = {"accuracy": ["solution"], "cosine": ["solution"], "length": ["solution"]}


@pytest.mark.parametrize("name", BUILT_IN_REWARDS)
def test_a_built_in_reward_takes_what_trl_has_and_says_what_else_it_needs(name: str) -> None:
    function = registry.load(name, RewardArguments())
    assert registry.required_columns(function) == COLUMNS.get(name, [])
    assert any(parameter.kind is parameter.VAR_KEYWORD for parameter in inspect.signature(function).parameters.values())
    solution = {column: ["$5$"] for column in COLUMNS.get(name, [])}
    assert len(function(prompts=["?"], completions=["5"], completion_ids=[[7]], trainer_state=None, **solution)) == 1


LENGTH = "def length(completions, **columns): return [float(len(c)) for c in completions]\n"
BROKEN_MODULES = {
    "broken_rewards": "from there_is_no_such_module import length\n",
    "misspelt_rewards": f"import re\nPATTERN = rex.compile('a')\n{LENGTH}",
    "unfinished_rewards": "def length(completions\n",
    "ending_rewards": f"import sys\nsys.exit('no licence')\n{LENGTH}",
    "waiting_rewards": "raise TimeoutError('timed out')\n",
    "half_read_rewards": "import errno\ntry:\n    raise OSError(errno.EIO, 'I/O error')\nexcept OSError:\n    import nothing_\n",
}


@pytest.fixture
def rewards_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_rewards.py").write_text(f"CONSTANT = 1\n{LENGTH}")
    for module, text in BROKEN_MODULES.items():
        (tmp_path / f"{module}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures("rewards_module")
def test_a_function_of_somebody_else() -> None:
    registry.check_names(["my_rewards:length"])
    assert registry.load("my_rewards:length", RewardArguments())(["abc"]) == [3.0]


ELSEWHERE = "give its code in spec.rewards.from, or install it in the learners' image."
BUILT_IN = ", ".join(BUILT_IN_REWARDS)
NAMES = {
    "acuracy": f"is no reward function; did you mean 'accuracy'? There are {BUILT_IN}, 'package.module:function', or a URL.",
    "my_rewards.length": f"is no reward function; use one of {BUILT_IN}, 'package.module:function', or a URL.",
    **dict.fromkeys(
        ("code", "binary_code", "ioi_code", "cf_code"),
        "is a reward that runs code, and runs cannot do that yet; use code_format, which looks at the layout, or "
        "package.module:function of your own.",
    ),
    "nowhere.rewards:length": f"cannot be imported (there is no package 'nowhere'); {ELSEWHERE}",
    "broken_rewards:length": f"cannot be imported (No module named 'there_is_no_such_module'); {ELSEWHERE}",
    "misspelt_rewards:length": "cannot be imported, NameError: name 'rex' is not defined ({folder}/misspelt_rewards.py, "
    "line 2); correct the module.",
    "unfinished_rewards:length": "cannot be imported, SyntaxError: '(' was never closed (unfinished_rewards.py, line 1); "
    "correct the module.",
    "ending_rewards:length": "cannot be imported, SystemExit: no licence ({folder}/ending_rewards.py, line 2); correct "
    "the module.",
    "builtins:max": "is no function whose parameters can be read; wrap it in a function of your own that takes "
    "completions and **kwargs.",
    "my_rewards:width": "names no function, my_rewards has no callable 'width'; correct the name after the colon.",
    "my_rewards:CONSTANT": "names no function, my_rewards has no callable 'CONSTANT'; correct the name after the colon.",
}


@pytest.mark.usefixtures("rewards_module")
@pytest.mark.parametrize("name", NAMES)
def test_names_that_are_no_reward_functions(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        registry.check_names([name])
        registry.load(name, RewardArguments())
    assert caught.value.failure.reason == "RewardNotFound"
    problem = NAMES[name].replace("{folder}", str(tmp_path))
    assert str(caught.value) == f"spec.recipe.reward_funcs: {name!r} {problem}"


@pytest.mark.usefixtures("rewards_module")
@pytest.mark.parametrize(
    ("module", "error"), [("waiting_rewards", TimeoutError), ("half_read_rewards", ModuleNotFoundError)]
)
def test_an_import_that_the_system_failed_is_no_mistake_of_the_users(module: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        registry.load(f"{module}:length", RewardArguments())


def test_a_reward_whose_column_is_missing() -> None:
    registry.check_reward("format", [], ["prompt", "problem"], Source("data"))
    registry.check_reward("accuracy", ["solution"], ["prompt", "problem", "solution"], Source("data"))
    with pytest.raises(UserError) as caught:
        registry.check_reward("accuracy", ["solution"], ["prompt", "problem", "answer"], Source("data"))
    assert caught.value.failure.reason == "ColumnNotFound"
    assert str(caught.value) == (
        "spec.recipe.reward_funcs: 'accuracy' needs a column 'solution', data set 'data' has problem, answer; "
        "add the column to the data set or choose another reward."
    )


@pytest.mark.parametrize("columns", [None, ["problem", "messages", "completion", "prompt"]])
@pytest.mark.parametrize(
    ("parameter", "instead"), [("messages", "prompts"), ("prompt", "prompts"), ("completion", "completions")]
)
def test_a_reward_that_needs_what_no_function_is_given(parameter: str, instead: str, columns: list[str] | None) -> None:
    with pytest.raises(UserError) as caught:
        registry.check_reward("mine:f", [parameter], columns, Source("data"))
    assert caught.value.failure.reason == "ColumnNotFound"
    assert str(caught.value) == (
        f"spec.recipe.reward_funcs: 'mine:f' needs a column {parameter!r}, but reward functions are not given a column of "
        f"that name; let it take {instead!r}, or rename the column."
    )


def test_the_columns_that_a_sentence_names_are_those_that_functions_are_given() -> None:
    with pytest.raises(UserError) as caught:
        registry.check_reward("mine:f", ["answer"], ["prompt", "messages", "completion", "solution"], Source("data"))
    assert "'mine:f' needs a column 'answer', data set 'data' has solution; " in str(caught.value)


def test_an_overlong_punishment_that_is_longer_than_a_completion() -> None:
    registry.load("soft_overlong_punishment", RewardArguments(max_completion_len=512, soft_punish_cache=512))
    with pytest.raises(UserError) as caught:
        registry.load("soft_overlong_punishment", RewardArguments(max_completion_len=512, soft_punish_cache=513))
    assert caught.value.failure.reason == "InvalidRecipe"
    assert str(caught.value) == (
        "spec.recipe.soft_punish_cache: 513 is more than max_completion_len 512; lower it or raise max_completion_len."
    )
