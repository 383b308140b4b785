"""Groups that teach nothing are replaced in a real run: two ranks, a generator, completions that are scored as they come."""

import shutil
from pathlib import Path

import pytest

from grpo_contract.config import RunConfig, SamplingConfig
from trainer.finished_run import PROMPTS, SEED, Finished, G, batches_in_order, run
from trainer.learner_inputs import learner_config, write_problems
from trainer.running_generator import RunningGenerator

STEPS = 4
RESUMED_FROM = 2
ROUNDS = 8
"""Enough for all prompts that there are."""
REWARD = '''
def spread(prompts, completions, solution, **columns):
    """Of questions about even numbers, all completions are worth the same."""
    texts = [completion[0]["content"] for completion in completions]
    numbers = [int(prompt[-1]["content"].split()[2]) for prompt in prompts]
    assert solution == [f"${number + 1}$" for number in numbers]
    return [sum(map(ord, text)) % 97 / 97 if number % 2 else 1.0 for number, text in zip(numbers, texts)]
'''


def is_dull(prompt: str) -> bool:
    return int(prompt.split()[2]) % 2 == 0


def config_of(model: Path, folder: Path, max_staleness: int) -> RunConfig:
    (folder / "even.py").write_text(REWARD)
    config = learner_config(
        model,
        write_problems(folder / "train.jsonl"),
        max_steps=STEPS,
        learning_rate=1e-4,
        log_completions=True,
        seed=SEED,
        reward_funcs=["even:spread"],
    )
    return config.model_copy(
        update={
            "generators": config.generators.model_copy(update={"max_staleness": max_staleness}),
            "rewards": config.rewards.model_copy(update={"per_group": ("even:spread",)}),
            "sampling": SamplingConfig(dynamic=True, max_rounds=ROUNDS),
        }
    )


@pytest.fixture(scope="module", params=[0, 1])
def refilled(
    request: pytest.FixtureRequest,
    generator: RunningGenerator,
    tiny_model: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[RunConfig, Finished]:
    """By staleness."""
    folder = tmp_path_factory.mktemp("refilled")
    config = config_of(tiny_model, folder, request.param)
    return config, run(generator, folder, config)


def test_each_step_learns_from_groups_that_teach(refilled: tuple[RunConfig, Finished]) -> None:
    finished = refilled[1]
    steps, prompts = finished.steps(), finished.prompts()
    assert [step["frac_reward_zero_std"] for step in steps] == [0] * STEPS
    assert [step["dynamic_sampling/left"] for step in steps] == [0] * STEPS
    batches = batches_in_order(STEPS)
    assert any(map(is_dull, batches[0]))
    for step, batch in zip(steps, batches, strict=True):
        learnt_from = prompts[step["step"]]
        assert step["dynamic_sampling/replaced"] == sum(map(is_dull, batch))
        for own, other in zip(batch, learnt_from, strict=True):
            assert not is_dull(other)
            assert other == own or is_dull(own)
        assert len(set(learnt_from)) == len(learnt_from)


def test_no_completion_is_staler_than_it_may_be(refilled: tuple[RunConfig, Finished]) -> None:
    config, finished = refilled
    steps = finished.steps()
    if config.generators.max_staleness:
        assert steps[0]["staleness/max"] == 0
        assert max(step["staleness/max"] for step in steps) == 1
    else:
        assert all("staleness/max" not in step for step in steps), "it logs what TRL logs"


def test_generators_and_learners_agree_on_what_was_moved(refilled: tuple[RunConfig, Finished]) -> None:
    """The sampler's log-probabilities came along with the tokens."""
    config, finished = refilled
    differences = [step["sampling/sampling_logp_difference/max"] for step in finished.steps()]
    by_same_weights = differences[:1] if config.generators.max_staleness else differences
    assert max(by_same_weights) < 1e-4


def test_what_is_kept_for_reading_is_what_trl_learns_from(refilled: tuple[RunConfig, Finished]) -> None:
    config, finished = refilled
    kept, logged = finished.kept(), finished.logged()
    assert kept.keys() == logged.keys() == set(range(1, STEPS + 1))
    for step, table in logged.items():
        rows = kept[step]
        assert [row["prompt"].rpartition("\n")[2] for row in rows] == [
            prompt[-1]["content"] for prompt in table["prompt"]
        ]
        assert [row["completion"] for row in rows] == [messages[0]["content"] for messages in table["completion"]]
        assert [row["rewards"]["even:spread"] for row in rows] == pytest.approx(table["even:spread"])
        assert [row["advantage"] for row in rows] == pytest.approx(table["advantage"])
        assert [(row["group"], row["member"]) for row in rows] == [divmod(place, G) for place in range(PROMPTS * G)]
        oldest = step - config.generators.max_staleness
        assert {row["weight_version"] for row in rows} <= set(range(max(1, oldest), step + 1))
        lengths = [row["tokens"] for row in rows]
        (told,) = [entry for entry in finished.steps() if entry["step"] == step]
        assert (min(lengths), max(lengths)) == (told["completions/min_length"], told["completions/max_length"])
        share = sum(row["is_truncated"] for row in rows) / len(rows)
        assert share == pytest.approx(told["completions/clipped_ratio"])


def test_an_attempt_that_makes_a_step_again_takes_the_same_prompts(
    refilled: tuple[RunConfig, Finished], generator: RunningGenerator, tmp_path: Path
) -> None:
    config, first = refilled
    shutil.copytree(first.volume, tmp_path / "volume")
    shutil.copy(first.volume.parent / "even.py", tmp_path)
    lost = Finished(tmp_path / "volume")
    prompts = lost.prompts()
    shutil.rmtree(lost.folder / "model")
    for step in range(RESUMED_FROM + 1, STEPS + 1):
        shutil.rmtree(lost.folder / "checkpoints" / f"checkpoint-{step}", ignore_errors=True)
    shutil.rmtree(lost.folder / "checkpoints" / "completions")
    run(generator, tmp_path, config)
    again = range(RESUMED_FROM + 1, STEPS + 1)
    assert lost.prompts() == {step: prompts[step] for step in again}
