"""The demo's problems, base model and data are the same each time, and held-out problems are not trained on."""

import json
import random
import sys
from itertools import islice
from pathlib import Path

import pytest
import torch

from grpo_demo import evaluate, make_base, prepare
from grpo_demo.arithmetic import distinct_problems, make_problem
from grpo_trainer.rewards.accuracy import accuracy_reward
from grpo_trainer.rewards.format import format_reward
from grpo_trainer.rewards.tag_count import tag_count_reward

BRIEF = make_base.WarmUp(steps=2, batch=4)


def test_a_problem_and_its_solution_agree() -> None:
    for problem in islice(distinct_problems(random.Random(0)), 200):
        a, operator, b, _ = problem.work.split()
        assert problem.result == (int(a) + int(b) if operator == "+" else int(a) - int(b)) >= 0
        assert f" {a} " in problem.text
        assert b in problem.text


def test_a_right_completion_gets_every_reward_and_a_wrong_one_all_but_accuracy() -> None:
    problem = make_problem(random.Random(0))
    completions = [problem.completion(problem.result), problem.completion(problem.result + 1)]
    assert accuracy_reward(completions, [problem.solution] * 2) == [1.0, 0.0]
    assert format_reward(completions) == tag_count_reward(completions) == [1.0, 1.0]


def test_the_base_model_is_the_same_each_time() -> None:
    first, tokenizer = make_base.make_base_model(0, BRIEF)
    second, _ = make_base.make_base_model(0, BRIEF)
    other, _ = make_base.make_base_model(1, BRIEF)
    assert first.num_parameters() == 784_896
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert not torch.equal(first.lm_head.weight, other.lm_head.weight)
    assert tokenizer.tokenize("12") == ["1", "2"]  # digit by digit
    problem = make_problem(random.Random(0))
    text = problem.completion(problem.result)
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_blurred_demonstrations() -> None:
    rng = random.Random(0)
    clean = [make_base.demonstration(rng, 1.0, 1.0) for _ in range(50)]
    blurred = [make_base.demonstration(rng, 0.0, 0.0) for _ in range(50)]
    assert all(text == problem.completion(problem.result) for problem, text in clean)
    assert format_reward([text for _, text in blurred]) == [0.0] * 50


def test_the_loss_sees_the_completion_only() -> None:
    tokenizer = make_base.build_tokenizer(random.Random(0))
    problem = make_problem(random.Random(0))
    batch = make_base.make_batch(tokenizer, [(problem, "5"), (problem, "5 and more")])
    learnt = batch["labels"] != make_base.NOT_LEARNT
    assert tokenizer.decode(batch["input_ids"][0][learnt[0]]) == "5<|im_end|>"
    assert tokenizer.decode(batch["input_ids"][1][learnt[1]]) == "5 and more<|im_end|>"


@pytest.fixture
def prepared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(make_base, "WarmUp", lambda: BRIEF)
    monkeypatch.setattr(sys, "argv", ["prepare", str(tmp_path / "demo")])
    prepare.main()
    return tmp_path / "demo"


def test_no_problem_is_both_trained_on_and_held_out(prepared: Path) -> None:
    def problems(name: str) -> list[str]:
        return [json.loads(line)["problem"] for line in (prepared / name).read_text().splitlines()]

    train, held_out = problems("train.jsonl"), problems("held_out.jsonl")
    assert (len(train), len(held_out)) == (2000, 500)
    assert len({*train, *held_out}) == 2500


def test_preparing_twice_does_nothing(prepared: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in prepared.rglob("*")}
    prepare.main()
    assert {path: path.stat().st_mtime_ns for path in prepared.rglob("*")} == before


def test_what_was_cut_short_is_made_again(prepared: Path) -> None:
    (prepared / "complete").unlink()
    (prepared / "train.jsonl").write_text("half a line")
    prepare.main()
    assert len((prepared / "train.jsonl").read_text().splitlines()) == 2000
    assert (prepared / "complete").exists()


def test_evaluation_compares_both_models_and_reads_the_curve(
    prepared: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The "trained" model knows all answers: what is sampled is replaced, what is graded and printed is real."""
    trained = prepared / "trained"
    (prepared / "base").rename(trained)
    trained.with_name("base").symlink_to(trained)
    history = [{"step": 1, "reward": 0.5}, {"train_runtime": 3.0}]
    (trained / "trainer_state.json").write_text(json.dumps({"log_history": history}))
    rows = [json.loads(line) for line in (prepared / "held_out.jsonl").read_text().splitlines()]
    right = [f"\\boxed{{{row['solution'].strip('$')}}}" for row in rows]
    answers = iter([["\\boxed{99}"] * 400 + right[400:], right])
    monkeypatch.setattr(evaluate, "complete", lambda model, tokenizer, problems: iter(next(answers)))
    monkeypatch.setattr(sys, "argv", ["evaluate", str(prepared), str(trained)])
    evaluate.main()
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == {
        "base_accuracy": 0.2,
        "trained_accuracy": 1.0,
        "questions": 500,
        "curve": [{"step": 1, "reward": 0.5}],
    }


def test_an_untrained_model_is_graded_by_what_it_writes(prepared: Path) -> None:
    rows = [json.loads(line) for line in (prepared / "held_out.jsonl").read_text().splitlines()[:3]]
    assert evaluate.accuracy_of(prepared / "base", rows) == 0.0  # two steps of warm-up teach nothing
