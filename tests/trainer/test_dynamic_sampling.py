"""Groups that teach nothing are replaced: what a learner asks for, what reaches reward functions, what it learns from."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import datasets
import pytest
from accelerate.state import AcceleratorState
from transformers import AutoTokenizer
from trl import GRPOConfig

from grpo_trainer.fleet import generation
from grpo_trainer.learner import Learner
from grpo_trainer.rewards.score import FAILED
from grpo_trainer.rewards.watch import RewardWatch
from grpo_trainer.sampling.reserve import Reserve
from trainer.played_generation import PlayedGeneration, in_trl_form

G = 2
SEED = 3
NUM_ROWS = 10
BATCH = range(4)
"""Places in the data of the batch's prompts; 0 and 2 teach nothing."""
DATA = [{"prompt": f"Question {place}?", "level": 100 + place} for place in range(NUM_ROWS)]
RESERVES = Reserve(DATA, SEED, 0, (DATA[place]["prompt"] for place in BATCH)).take(NUM_ROWS)

Asked = tuple[str, list[str]]
"""Name of a batch, and its prompts, each once."""


class WritesPlaces(PlayedGeneration):
    """Of each prompt, a completion that grows with its place in the data and one that is a letter longer."""

    def __init__(self, settings: Any, *, processing_class: Any, **_: Any) -> None:
        super().__init__()
        self.tokenizer = processing_class
        self.asked: list[Asked] = []

    def ask(self, batch: str, prompts: Sequence[list[int]], num_generations: int) -> None:
        super().ask(batch, prompts, num_generations)
        self.sampled_from = [len(self.asked)] * len(prompts)
        self.asked.append((batch, self.tokenizer.batch_decode(list(prompts[::num_generations]))))

    def generate(self, prompts: list[list[int]], images: Any, num_generations: int, profiler: Any = None) -> Any:
        completions = [
            [*self.tokenizer("x" * (1 + place_of(prompt) + number % G))["input_ids"], self.tokenizer.eos_token_id]
            for number, prompt in enumerate(self.tokenizer.batch_decode(prompts))
        ]
        return in_trl_form(prompts, completions, [[-float(len(ids))] * len(ids) for ids in completions])


def place_of(prompt: str) -> int:
    return next(place for place, row in enumerate(DATA) if row["prompt"] == prompt)


class Judge:
    """A reward function: of the places that are `dull`, all completions are worth 1, of others each second one."""

    __name__ = "judge"

    def __init__(self, dull: Sequence[int], failing: Sequence[int] = ()) -> None:
        self.dull = dull
        self.failing = failing
        self.calls: list[list[int]] = []
        """Places of the completions that were to be judged."""

    def __call__(
        self, prompts: Sequence[str], completions: Sequence[str], level: Sequence[int], log_extra: Any, **_: Any
    ) -> list[float]:
        places = [place_of(prompt) for prompt in prompts]
        assert level == [100 + place for place in places]
        assert completions == ["x" * (1 + place + number % G) for number, place in enumerate(places)]
        self.calls.append(places)
        log_extra("place", places)
        return [self._score(place, number % G) for number, place in enumerate(places)]

    def _score(self, place: int, second: int) -> float:
        if place in self.failing:
            return FAILED
        return 1.0 if place in self.dull else float(second)


MakeLearner = Callable[..., Learner]


@pytest.fixture
def make_learner(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeLearner]:
    monkeypatch.setattr(generation, "FleetGeneration", WritesPlaces)

    def make(judge: Judge, refill_rounds: int, num_rows: int = NUM_ROWS, **recipe: Any) -> Learner:
        learner = Learner(
            rewards={"judge": judge},
            watch=RewardWatch(max_error_share=1),
            model=str(tiny_model),
            args=GRPOConfig(
                output_dir=str(tmp_path), use_cpu=True, bf16=False, report_to=[], num_generations=G, seed=SEED,
                per_device_train_batch_size=len(BATCH) * G, scale_rewards="none", loss_type="dapo",
                vllm_importance_sampling_correction=False, **recipe,
            ),
            train_dataset=datasets.Dataset.from_list(DATA[:num_rows]),
            processing_class=AutoTokenizer.from_pretrained(tiny_model),
            fleet=None,
            refill_rounds=refill_rounds,
        )  # fmt: skip
        learner.callback_handler.train_dataloader = learner.get_train_dataloader()
        return learner

    yield make
    AcceleratorState._reset_state(reset_partial_state=True)


def batch_of(learner: Learner) -> dict[str, Any]:
    learner.model.train()
    rows = [dict(DATA[place]) for place in BATCH for _ in range(G)]
    batch: dict[str, Any] = learner._generate_and_score_completions(rows)
    assert rows == [DATA[place] for place in BATCH for _ in range(G)], "they are the data loader's"
    return batch


def asked(learner: Learner) -> list[tuple[str, list[int]]]:
    return [(name, [place_of(prompt) for prompt in prompts]) for name, prompts in learner.vllm_generation.asked]


def learnt_from(learner: Learner, batch: dict[str, Any]) -> list[int]:
    """Places of the groups, of which all that is logged and learnt from says the same."""
    prompts = [place_of(prompt) for prompt in learner._logs["prompt"]]
    assert list(learner._logs["extra"]["place"]) == prompts
    lengths = [1 + place + number % G + 1 for number, place in enumerate(prompts)]
    tokenizer = learner.processing_class
    assert list(learner._logs["completion"]) == ["x" * (length - 1) for length in lengths]
    assert tokenizer.batch_decode(batch["prompt_ids"], skip_special_tokens=True) == [
        DATA[place]["prompt"] for place in prompts
    ]
    texts = tokenizer.batch_decode(batch["completion_ids"], skip_special_tokens=True)
    assert texts == list(learner._logs["completion"])
    num_tokens = batch["completion_mask"].sum(dim=1)
    assert batch["sampling_per_token_logps"][:, 0].tolist() == (-num_tokens).tolist()
    metrics = learner._metrics["train"]
    assert metrics["completions/mean_length"] == [num_tokens.float().mean().item()]
    assert learner.take_tokens()["completion"] == num_tokens.sum().item()
    assert prompts[::G] == prompts[1::G]
    return prompts[::G]


class TestRefills:
    def test_groups_whose_rewards_are_equal_are_replaced_until_none_is_left(self, make_learner: MakeLearner) -> None:
        first, second, third = RESERVES[:3]
        judge = Judge(dull=[0, 2, first])
        learner = make_learner(judge, refill_rounds=3)
        batch = batch_of(learner)
        assert asked(learner) == [
            ("training 0", [0, 1, 2, 3]),
            ("training 0 refill 1", [first, second]),
            ("training 0 refill 2", [third]),
        ]
        assert learnt_from(learner, batch) == [second, 1, third, 3]
        assert batch["advantages"].tolist() == [-0.5, 0.5] * 4
        assert learner._metrics["train"]["frac_reward_zero_std"] == [0]
        assert learner._metrics["train"]["reward"] == [0.5]
        assert learner.vllm_generation.sampled_from == [1, 1, 0, 0, 2, 2, 0, 0]

    def test_each_completion_is_scored_once(self, make_learner: MakeLearner) -> None:
        judge = Judge(dull=[0, 2])
        batch_of(make_learner(judge, refill_rounds=3))
        assert judge.calls == [[0, 0, 1, 1, 2, 2, 3, 3], [place for place in RESERVES[:2] for _ in range(G)]]

    def test_what_was_thrown_away_is_counted_apart(self, make_learner: MakeLearner) -> None:
        learner = make_learner(Judge(dull=[0, 2, RESERVES[0]]), refill_rounds=1)
        batch_of(learner)
        thrown_away = [0, RESERVES[0]]
        num_tokens = sum(1 + place + number + 1 for place in thrown_away for number in range(G))
        assert learner.take_refills() == {"replaced": 1, "left": 1, "tokens": num_tokens}
        assert learner.take_refills() == {}
        metrics = learner._metrics["train"]
        assert [metrics[f"dynamic_sampling/{name}"] for name in ("replaced", "left", "tokens")] == [
            [1],
            [1],
            [num_tokens],
        ]


class TestBound:
    def test_what_is_left_after_the_last_round_is_learnt_from_as_it_is(self, make_learner: MakeLearner) -> None:
        learner = make_learner(Judge(dull=range(NUM_ROWS)), refill_rounds=1)
        batch = batch_of(learner)
        assert asked(learner) == [("training 0", [0, 1, 2, 3]), ("training 0 refill 1", RESERVES[:4])]
        assert learnt_from(learner, batch) == [0, 1, 2, 3]
        assert batch["advantages"].tolist() == [0] * 8
        assert learner._metrics["train"]["frac_reward_zero_std"] == [1]

    def test_no_prompt_comes_twice_and_at_the_end_of_the_data_there_are_no_more(
        self, make_learner: MakeLearner
    ) -> None:
        learner = make_learner(Judge(dull=range(NUM_ROWS)), refill_rounds=9)
        batch_of(learner)
        assert [places for _, places in asked(learner)] == [[0, 1, 2, 3], RESERVES[:4], RESERVES[4:]]
        assert sorted(RESERVES) == list(range(4, NUM_ROWS))

    def test_data_without_other_prompts(self, make_learner: MakeLearner) -> None:
        learner = make_learner(Judge(dull=[0, 2]), refill_rounds=3, num_rows=len(BATCH))
        assert learnt_from(learner, batch_of(learner)) == [0, 1, 2, 3]
        assert asked(learner) == [("training 0", [0, 1, 2, 3])]


class TestNothingToRefill:
    @pytest.mark.parametrize(("dull", "refill_rounds"), [([], 3), ([0, 2], 0)])
    def test_a_batch_without_equal_groups_or_a_run_without_refills(
        self, make_learner: MakeLearner, dull: list[int], refill_rounds: int
    ) -> None:
        judge = Judge(dull)
        learner = make_learner(judge, refill_rounds)
        batch = batch_of(learner)
        assert asked(learner) == [("training 0", [0, 1, 2, 3])]
        assert len(judge.calls) == 1
        assert learnt_from(learner, batch) == [0, 1, 2, 3]
        assert batch["advantages"].tolist() == [
            0 if place in dull else advantage for place in BATCH for advantage in (-0.5, 0.5)
        ]

    def test_an_evaluation_is_of_its_own_prompts(self, make_learner: MakeLearner) -> None:
        judge = Judge(dull=[0])
        learner = make_learner(judge, refill_rounds=3)
        learner.model.eval()
        learner._generate_and_score_completions([DATA[0]] * G)
        assert judge.calls == [[0] * G]


class TestFailures:
    def test_groups_that_lost_their_rewards_stay(self, make_learner: MakeLearner) -> None:
        learner = make_learner(Judge(dull=[], failing=[1]), refill_rounds=3)
        batch = batch_of(learner)
        assert learnt_from(learner, batch) == [0, 1, 2, 3]
        assert batch["advantages"].tolist() == [-0.5, 0.5, 0, 0, -0.5, 0.5, -0.5, 0.5]

    def test_and_replace_none_and_are_counted_all_the_same(self, make_learner: MakeLearner) -> None:
        first, second = RESERVES[:2]
        learner = make_learner(Judge(dull=[0], failing=[first]), refill_rounds=2)
        assert learnt_from(learner, batch_of(learner)) == [second, 1, 2, 3]
        assert learner.watch.error_share == pytest.approx(2 / 12 / 5)
