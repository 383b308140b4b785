"""What vLLM itself refuses, in its own words: one process asks it all, because importing it costs seconds."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from grpo_generator.arguments import build_arguments
from grpo_generator.environment import build_environment
from grpo_generator.refusal import no_room_for_cache
from trainer.running_generator import run_config

PROGRAM = """
import json, sys
from grpo_contract.failure import UserError
from grpo_generator.server import check

def answer(arguments):
    try:
        check(arguments)
    except Exception as error:
        return type(error).__name__, str(error)
    return "accepted", ""

if __name__ == "__main__":
    print(json.dumps({name: answer(arguments) for name, arguments in json.load(sys.stdin).items()}))
"""


def changed(model: Path, folder: Path, **config: Any) -> str:
    """A copy of the model with another configuration."""
    folder.mkdir()
    for file in model.iterdir():
        (folder / file.name).symlink_to(file)
    old = json.loads((model / "config.json").read_text())
    (folder / "config.json").unlink()
    (folder / "config.json").write_text(json.dumps(old | config))
    return str(folder)


@pytest.fixture(scope="module")
def answers(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, str]]:
    folder = tmp_path_factory.mktemp("refusals")
    unreadable = changed(tiny_model, folder / "unreadable")
    Path(unreadable, "config.json").unlink()
    Path(unreadable, "config.json").symlink_to("/proc/self/mem")  # whose first byte answers with EIO
    own_code = {"model_type": "own", "auto_map": {"AutoConfig": "own.OwnConfig"}}
    questions = {
        "as it is": [],
        "length": ["--max-model-len=100000"],
        "heads": ["--tensor-parallel-size=3"],
        "dtype": ["--dtype=float12"],
        "architecture": ["--model=" + changed(tiny_model, folder / "architecture", architectures=["NoSuchModel"])],
        "code": ["--model=" + changed(tiny_model, folder / "code", **own_code)],
        "argument": ["--no-such-argument"],
        "unreadable": [f"--model={unreadable}"],
    }
    run = run_config({"model_name_or_path": str(tiny_model)})
    asked = {name: build_arguments(run, "generator", "127.0.0.1") + arguments for name, arguments in questions.items()}
    environment = build_environment(run, os.environ | {"PYTHONPATH": ":".join(sys.path)})
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(
        command, env=environment, input=json.dumps(asked), check=True, stdout=subprocess.PIPE, text=True
    )
    return {name: tuple(answer) for name, answer in json.loads(done.stdout.splitlines()[-1]).items()}


def test_a_run_that_is_right_is_accepted(answers: dict[str, tuple[str, str]]) -> None:
    assert answers["as it is"] == ("accepted", "")


@pytest.mark.parametrize(
    ("case", "beginning", "end"),
    [
        ("length", "spec.recipe.vllm_max_model_length: vLLM refuses 100000, ", "; set a smaller number of tokens."),
        (
            "heads",
            "spec.generators.gpus: vLLM refuses 3, Total number of attention heads (2) must be divisible by tensor "
            "parallel size (3)",
            "; choose a number that divides the attention heads of the model.",
        ),
        (
            "dtype",
            "spec.recipe.bf16 and fp16: vLLM refuses float12, argument --dtype: invalid choice: 'float12'",
            "; set one of them to true, or both to false for float32.",
        ),
        (
            "architecture",
            "spec.recipe.model_name_or_path: vLLM refuses /",
            "Model architectures ['NoSuchModel'] are not supported for now; name a model that vLLM can serve.",
        ),
        (
            "code",
            "spec.recipe.trust_remote_code: vLLM refuses its default, The repository ",
            "; set it to true if you trust the code in the model's folder.",
        ),
    ],
)
def test_a_refusal_names_field_value_and_remedy(
    answers: dict[str, tuple[str, str]], case: str, beginning: str, end: str
) -> None:
    kind, sentence = answers[case]
    assert kind == "UserError"
    assert sentence.startswith(beginning)
    assert sentence.endswith(end)


def test_a_volume_that_cannot_be_read_is_no_mistake(answers: dict[str, tuple[str, str]]) -> None:
    assert answers["unreadable"] == ("OSError", "[Errno 5] Input/output error")


def test_what_no_field_of_a_run_explains_is_no_mistake_in_it(answers: dict[str, tuple[str, str]]) -> None:
    assert answers["argument"] == ("ValueError", "unrecognized arguments: --no-such-argument")


def test_vllms_words_for_too_little_room_are_known() -> None:
    program = (
        "from vllm.v1.core.kv_cache_utils import _check_enough_kv_cache_memory as check\n"
        "try: check(2**30, lambda: 7 * 2**29, 32768, lambda memory: 9360)\n"
        "except ValueError as error: print(error)"
    )
    said = subprocess.run([sys.executable, "-c", program], check=True, stdout=subprocess.PIPE, text=True).stdout
    mistake = no_room_for_cache(said)
    assert mistake is not None
    assert "32768 tokens need a KV cache of 3.5 GiB, generators have 1.0 GiB for it; set at most 9360" in str(mistake)
