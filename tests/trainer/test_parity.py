"""Our learner learns what TRL's own trainer learns: the same losses, rewards and gradient norms in float32.

Both sides have the same model, data, recipe, completions and log-probabilities of a sampler. Each is one process that
runs all cases; TRL's imports nothing of the product.

Ours is compared twice. Without DeepSpeed every digit is TRL's. Under ZeRO-3, which is what runs in production, 1e-6 cannot
be had: DeepSpeed has a backward of its own for linear layers and sums in another order, and a log-probability of -10 in
float32 is no better than 1e-6 itself. So a few cases show there that nothing is scaled, averaged or clipped otherwise.

The recipe leaves nothing at rest: prompts come around again, gradients are accumulated, a batch of completions serves two
steps (so that ratios to the old policy are not 1 and some are clipped), the sampler is a little off the policy (so that
its correction counts), some completions are cut, and some have no score from one of the functions.
"""

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterable
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from grpo_contract.config import RunConfig
from grpo_contract.files import VOLUME, model_folder
from harness.layout import TESTS
from trainer.learner_inputs import learner_config, write_problems
from trainer.learner_pod import ONE_RANK, WITH_TESTS, LearnerPod
from trainer.parity_inputs import CASES, STATE, Answer

RUN_S = 900
"""For all cases of a side, on a busy machine."""
STEPS = 5
SCORED = [1, 3, 5]
"""Steps that ask for completions."""
NUM_PROMPTS = 8
NUM_GENERATIONS = 4
MOST_TOKENS = 16
ALPHABET = "0123456789="
SAMPLER_IS_OFF = 0.05
"""Nats, the standard deviation for each token."""

REWARDS = "trainer.parity_inputs:"

TOLERANCE = 1e-6
ZERO3_TOLERANCE = 1e-3
"""Adam makes a step of any gradient: rounding grows from step to step."""
ZERO3_CASES = (
    "grpo-beta-0.0-scale-group",
    "dapo-beta-0.0-scale-batch",
    "dr_grpo-beta-0.04-scale-batch",
    "bnpo-beta-0.04-scale-none",
)
"""Each value of each key."""

Steps = list[dict[str, float]]


@pytest.fixture(scope="module")
def config(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> RunConfig:
    return learner_config(
        tiny_model,
        write_problems(tmp_path_factory.mktemp("data") / "train.jsonl", NUM_PROMPTS),
        processes=1,
        every_steps=100,
        reward_funcs=[f"{REWARDS}digits", f"{REWARDS}hits"],
        reward_weights=[1.0, 0.5],
        num_generations=NUM_GENERATIONS,
        max_completion_length=MOST_TOKENS,
        per_device_train_batch_size=4,
        gradient_accumulation_steps=2,
        steps_per_generation=4,
        max_steps=STEPS,
        learning_rate=5e-4,
    )


@pytest.fixture(scope="module")
def script(config: RunConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the generators answer: {tokens of a prompt: its group}."""
    model = AutoModelForCausalLM.from_pretrained(config.recipe["model_name_or_path"])
    tokenizer = AutoTokenizer.from_pretrained(config.recipe["model_name_or_path"])
    groups = {}
    for line in Path(config.recipe["dataset_name"]).read_text().splitlines():
        message = {"role": "user", "content": json.loads(line)["problem"]}
        prompt = tokenizer.apply_chat_template([message], add_generation_prompt=True, return_dict=True)["input_ids"]
        groups[str(prompt)] = [answer(model, tokenizer, prompt, place) for place in range(NUM_GENERATIONS)]
    file = tmp_path_factory.mktemp("script") / "script.json"
    file.write_text(json.dumps(groups))
    return file


def answer(model: Any, tokenizer: Any, prompt: list[int], place: int) -> Answer:
    """Of the untrained model, or of one near it. The last one of a group is cut."""
    chance = random.Random(f"{prompt} {place}")
    is_cut = place == NUM_GENERATIONS - 1
    text = "".join(chance.choices(ALPHABET, k=MOST_TOKENS if is_cut else chance.randint(2, MOST_TOKENS - 1)))
    tokens = tokenizer(text)["input_ids"] + ([] if is_cut else [tokenizer.eos_token_id])
    with torch.no_grad():
        logits = model(torch.tensor([prompt + tokens])).logits[0, len(prompt) - 1 : -1]
    logprobs = logits.log_softmax(-1)[range(len(tokens)), tokens].tolist()
    return tokens, [logprob + chance.gauss(0, SAMPLER_IS_OFF) for logprob in logprobs]


@pytest.fixture(scope="module")
def ours(config: RunConfig, script: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Steps]:
    return learnt(tmp_path_factory.mktemp("ours"), config, script, "plain", CASES)


@pytest.fixture(scope="module")
def zero3(config: RunConfig, script: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Steps]:
    return learnt(tmp_path_factory.mktemp("zero3"), config, script, "zero3", ZERO3_CASES)


def learnt(folder: Path, config: RunConfig, script: Path, mode: str, cases: Iterable[str]) -> dict[str, Steps]:
    program = [str(Path(__file__).with_name("parity_learner.py"))]
    environment = ONE_RANK | {"PYTHONPATH": WITH_TESTS}
    pod = LearnerPod(folder, config, program=program, arguments=[str(script), mode, *cases], env=environment)
    try:
        assert pod.wait(RUN_S) == 0, pod.tail()
    finally:
        pod.kill()
    models = {name: Path(model_folder(name, config.uid)).relative_to(VOLUME) for name in cases}
    return {name: steps_of(pod.volume / model / STATE) for name, model in models.items()}


@pytest.fixture(scope="module")
def trls(config: RunConfig, script: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Steps]:
    folder = tmp_path_factory.mktemp("trl")
    (folder / "run.json").write_text(config.model_dump_json())
    program = Path(__file__).with_name("parity_trl.py")
    environment = {
        "PYTHONPATH": str(TESTS),
        "HF_HOME": str(folder / "hub"),
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
    }
    ended = subprocess.run(
        [sys.executable, program, folder / "run.json", script, folder],
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=RUN_S,
    )
    assert ended.returncode == 0, ended.stdout[-4000:]
    return {name: steps_of(folder / name / STATE) for name in CASES}


def steps_of(state: Path) -> Steps:
    """What TRL has logged of each step, but for its duration. Ours has rewards under the recipe's names."""
    history = json.loads(state.read_text())["log_history"]
    return [
        {key.replace(REWARDS, ""): value for key, value in entry.items() if key != "step_time"}
        for entry in history
        if "loss" in entry  # not the summary at the end
    ]


@pytest.mark.parametrize("case", CASES)
def test_all_that_is_logged_of_a_step_is_trls(case: str, ours: dict[str, Steps], trls: dict[str, Steps]) -> None:
    check_equal(ours[case], trls[case], TOLERANCE)


@pytest.mark.parametrize("case", ZERO3_CASES)
def test_zero3_rounds_otherwise_and_no_more(case: str, zero3: dict[str, Steps], trls: dict[str, Steps]) -> None:
    check_equal(zero3[case], trls[case], ZERO3_TOLERANCE)


def check_equal(our: Steps, trls: Steps, tolerance: float) -> None:
    assert [step["step"] for step in our] == [1, 2, 3, 4, 5]
    assert all({"loss", "grad_norm"} <= step.keys() for step in our)
    assert [
        step["step"] for step in our if {"reward", "rewards/digits/mean", "rewards/hits/mean"} <= step.keys()
    ] == SCORED
    for step, trl in zip(our, trls, strict=True):
        assert step == pytest.approx(trl, rel=0, abs=tolerance)


@pytest.mark.parametrize("case", CASES)
def test_there_is_something_to_learn(case: str, trls: dict[str, Steps]) -> None:
    """Numbers that are all 0 would agree as well, and so would those of a model that stands still."""
    steps = trls[case]
    assert all(abs(step["loss"]) > 1e-3 and step["grad_norm"] > 1e-2 for step in steps)
    scored = [step for step in steps if step["step"] in SCORED]
    assert all(step["reward_std"] > 0.1 and step["frac_reward_zero_std"] < 0.5 for step in scored)
    assert all(step["sampling/importance_sampling_ratio/max"] > 0.1 for step in scored)
    assert max(step["clip_ratio/region_mean"] for step in steps) > 0
    if CASES[case]["beta"]:
        assert steps[0]["kl"] < 1e-6 < 1e-2 < steps[-1]["kl"]


def test_each_case_learns_something_else(trls: dict[str, Steps]) -> None:
    losses = {name: [step["loss"] for step in steps] for name, steps in trls.items()}
    for one, other in combinations(CASES, 2):
        apart = max(abs(first - second) for first, second in zip(losses[one], losses[other], strict=True))
        assert apart > 100 * TOLERANCE, (one, other)
