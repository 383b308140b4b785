"""Completions are scored while others are still being written: what is called when, and that scores are the same."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import datasets
import pytest
from accelerate.state import AcceleratorState
from transformers import AutoTokenizer
from trl import GRPOConfig

from grpo_trainer.fleet import generation
from grpo_trainer.learner import Learner
from grpo_trainer.rewards.processes.batch import Batch, Job
from grpo_trainer.rewards.processes.division import Division
from grpo_trainer.rewards.processes.messages import Mishap, Outcome
from grpo_trainer.rewards.score import FAILED
from grpo_trainer.sampling.arrivals import ScoringOnArrival
from harness.waiting import wait_for
from trainer.played_generation import PlayedGeneration, in_trl_form
from trainer.scoring import STATE, Scored
from trainer.scoring_service import Answer, Service, running, scores

G = 2
BATCH = "a batch"
PROMPTS = ["a"] * G + ["b"] * G + ["c"] * G
COMPLETIONS = ["a0", "a1", "b0", "b1", "c0", "c1"]
IDS = [[place] for place in range(len(COMPLETIONS))]
SOON_S = 60.0
"""For what happens at once, on a busy machine."""
NEVER_ENDS_S = 3600.0
GROUPS = Division([[0, 1], [2, 3], [4, 5]])
JOINED = Division(GROUPS.parts, joins=True)
EACH_ALONE = Division([[place] for place in range(6)])
WHOLE = Division([list(range(6))])


def batch_of(division: Division) -> Batch:
    return Batch("f", {"prompts": PROMPTS}, None, division)


def add(batch: Batch, *places: int) -> None:
    batch.add(places, {"completions": [COMPLETIONS[place] for place in places]})


def calls_of(job: Job | None) -> list[list[int]] | None:
    return None if job is None else list(job.calls)


def scored(places: list[int]) -> Outcome:
    return Outcome([float(place) for place in places])


@pytest.mark.parametrize(
    ("division", "jobs"),
    [
        # after 1, then after 4 and 5, then after all: the calls that can be made
        (EACH_ALONE, [[[1]], [[4], [5]], [[0], [2], [3]]]),
        (GROUPS, [None, [[4, 5]], [[0, 1], [2, 3]]]),
        (JOINED, [None, [[4, 5]], [[0, 1, 2, 3]]]),
        (WHOLE, [None, None, [[0, 1, 2, 3, 4, 5]]]),
    ],
)
def test_a_part_is_called_for_when_all_of_it_is_there(division: Division, jobs: list[list[list[int]] | None]) -> None:
    batch, found = batch_of(division), []
    for places in ([1], [4, 5], [0, 2, 3]):
        add(batch, *places)
        job = batch.next_job()
        found.append(calls_of(job))
        for call in job.calls if job is not None else ():
            batch.settle(call, scored(call))
    assert found == jobs
    assert batch.next_job() is None
    assert batch.done.result().scores == [0, 1, 2, 3, 4, 5]


def test_what_comes_during_a_joined_call_is_the_next_one() -> None:
    batch = batch_of(JOINED)
    add(batch, 0, 1)
    assert calls_of(batch.next_job()) == [[0, 1]]
    add(batch, 2, 3)
    assert batch.next_job() is None
    batch.settle([0, 1], scored([0, 1]))
    assert calls_of(batch.next_job()) == [[2, 3]]


def test_the_last_completions_wait_for_no_other_call() -> None:
    batch = batch_of(JOINED)
    add(batch, 0, 1)
    assert calls_of(batch.next_job()) == [[0, 1]]
    add(batch, 2, 3)
    add(batch, 4, 5)
    assert calls_of(batch.next_job()) == [[2, 3, 4, 5]]


def test_calls_that_were_not_made_are_made_first() -> None:
    batch = batch_of(EACH_ALONE)
    add(batch, 0, 1)
    job = batch.next_job()
    assert job is not None
    add(batch, 2)
    batch.put_back(job.calls[1:])
    assert calls_of(batch.next_job()) == [[1], [2]]


def test_a_completion_that_comes_again_is_scored_once_and_has_not_changed() -> None:
    batch = batch_of(GROUPS)
    add(batch, 0, 1)
    batch.next_job()
    add(batch, *range(6))
    assert calls_of(batch.next_job()) == [[2, 3], [4, 5]]
    with pytest.raises(AssertionError, match=r"^f was given 'a0' in completions, and learnt from is 'another'"):
        batch.add([0], {"completions": ["another"]})


def test_the_first_word_on_a_completion_counts() -> None:
    batch = batch_of(GROUPS)
    add(batch, *range(6))
    batch.settle([0, 1], scored([0, 1]))
    batch.settle([0, 1, 2], scored([7, 7, 2]))
    mishap = Mishap(FAILED.reason, "late")
    batch.give_up(mishap)
    batch.settle([3], scored([3]))
    outcome = batch.done.result()
    assert outcome.scores == [0, 1, 2, None, None, None]
    assert outcome.mishaps == dict.fromkeys((3, 4, 5), mishap)


def begin(scored: Scored) -> None:
    for function in scored.processes.functions.values():
        function.begin(BATCH, STATE, {"prompts": PROMPTS})
        function.called_for = BATCH


def arrive(scored: Scored, *places: int) -> None:
    for function in scored.processes.functions.values():
        function.add(BATCH, places, [COMPLETIONS[place] for place in places], [IDS[place] for place in places])


def asked(service: Service) -> list[list[str]]:
    """The completions of each request."""
    return [body["completions"] for _, _, body in service.requests]


def test_a_service_is_asked_for_whole_groups_as_they_come() -> None:
    with running(scores(1, 2), scores(3, 4, 5, 6)) as service, Scored(f"http://{service.host}/") as scored:
        begin(scored)
        arrive(scored, 0)
        arrive(scored, 2, 3)
        wait_for("the first request", lambda: asked(service) == [["b0", "b1"]], SOON_S, interval_s=0.05)
        found = scored.scores(COMPLETIONS, prompts=PROMPTS, completion_ids=IDS)
        assert found == {f"{service.host}/": [3, 4, 1, 2, 5, 6]}
        assert asked(service) == [["b0", "b1"], ["a0", "a1", "c0", "c1"]]


def test_a_service_that_does_not_answer_costs_one_deadline_for_all() -> None:
    """From the last completion on: what was asked before is late no later."""
    deadline_s = 10.0
    silent = Answer(after_s=NEVER_ENDS_S)
    with running(silent) as service, Scored(f"http://{service.host}/", timeout_s=deadline_s) as scored:
        scored.wait_until_ready()
        begin(scored)
        arrive(scored, 0, 1)
        wait_for("the first request", lambda: len(asked(service)) == 1, SOON_S, interval_s=0.05)
        arrive(scored, 2, 3)
        found = scored.scores(COMPLETIONS, prompts=PROMPTS, completion_ids=IDS)
        assert found == {f"{service.host}/": [FAILED] * 6}
        assert scored.seconds < 1.5 * deadline_s
        assert asked(service) == [["a0", "a1"], ["b0", "b1", "c0", "c1"]]
        assert [(key, count) for key, (count, _) in scored.errors().items()] == [((f"{service.host}/", "Timeout"), 6)]


OWN = """
import pathlib
calls = []
def sizes(completions, prompts, log_extra, log_metric, **_):
    assert len(set(prompts)) * 2 == len(prompts)
    calls.append(len(completions))
    log_extra("call", [f"{text} {len(calls)}" for text in completions])
    log_extra("odd", ["an entry too many", *completions])
    log_metric("size", len(completions))
    pathlib.Path(__file__).with_name("called").touch()
    return [float(len(calls))] * len(completions)
def fails_once(completions, log_extra, **_):
    calls.append(len(completions))
    log_extra("text", completions)
    pathlib.Path(__file__).with_name("called").touch()
    if len(calls) == 1:
        raise ValueError("not yet")
    return [1.0] * len(completions)
"""


@pytest.fixture
def called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """There once a function of OWN was called."""
    (tmp_path / "own.py").write_text(OWN)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    return tmp_path / "called"


def scored_after_the_last_group(scored: Scored, called: Path) -> list[float | None]:
    """What the function says when the last group comes first, and is called for alone."""
    ((label, function),) = scored.processes.functions.items()
    assert function.scores_parts
    begin(scored)
    arrive(scored, 4, 5)
    wait_for("its first call", called.exists, SOON_S, interval_s=0.05)
    return scored.scores(COMPLETIONS, prompts=PROMPTS, completion_ids=IDS)[label]


def test_a_function_that_needs_no_more_than_a_group_gets_groups_as_they_come(called: Path) -> None:
    with Scored("own:sizes", per_group=("own:sizes",)) as scored:
        assert scored_after_the_last_group(scored, called) == [2, 2, 2, 2, 1, 1]
        assert scored.extras == [("call", ["a0 2", "a1 2", "b0 2", "b1 2", "c0 1", "c1 1"])]
        assert scored.metrics == [("size", 2), ("size", 4)]


def test_what_a_failed_call_logged_is_left_out_in_its_place(called: Path) -> None:
    with Scored("own:fails_once", per_group=("own:fails_once",)) as scored:
        assert scored_after_the_last_group(scored, called) == [1, 1, 1, 1, FAILED, FAILED]
        assert scored.extras == [("text", ["a0", "a1", "b0", "b1", None, None])]


@pytest.mark.usefixtures("called")
def test_other_functions_of_ones_own_get_the_whole_batch() -> None:
    with Scored("own:sizes") as scored:
        assert not scored.processes.functions["own:sizes"].scores_parts
        assert scored.scores(COMPLETIONS, prompts=PROMPTS, completion_ids=IDS) == {"own:sizes": [1] * 6}
        assert scored.metrics == [("size", 6)]


class WritesTheFirstGroupFirst(PlayedGeneration):
    """FleetGeneration's face towards TRL. What is written last is written once the service was asked for the first."""

    service: Service

    def __init__(self, settings: Any, *, processing_class: Any, **_: Any) -> None:
        super().__init__()
        self.tokenizer = processing_class

    def generate(self, prompts: list[list[int]], images: Any, num_generations: int, profiler: Any = None) -> Any:
        completions = [[*self.tokenizer(text)["input_ids"], self.tokenizer.eos_token_id] for text in COMPLETIONS]
        self.inbox.told(self.wanted, dict(enumerate(completions[:G])))
        wait_for("a request for the first group", lambda: asked(self.service), SOON_S, interval_s=0.05)
        self.inbox.told(self.wanted, {place: ids for place, ids in enumerate(completions) if place >= G})
        return in_trl_form(prompts, completions)


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    with running(scores(1, 0), scores(0, 0, 1, 1)) as service:
        monkeypatch.setattr(WritesTheFirstGroupFirst, "service", service, raising=False)
        monkeypatch.setattr(generation, "FleetGeneration", WritesTheFirstGroupFirst)
        yield service


def chat(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


ANSWERS: Mapping[str, Sequence[Any]] = {
    "texts": COMPLETIONS,
    "conversations": [[{"role": "assistant", "content": text}] for text in COMPLETIONS],
}

OTHER_COLUMNS: Mapping[str, Mapping[str, Any]] = {
    # Of the other layout than the prompts, and what functions have from TRL.
    "texts": {"chosen": chat("1"), "completion": chat("2"), "completion_ids": [7], "trainer_state": 3},
    "conversations": {"chosen": "1", "completion": "2", "completion_ids": [7], "trainer_state": 3},
}


@pytest.mark.parametrize("layout", ANSWERS)
def test_a_learner_scores_while_its_generators_write(
    layout: str, service: Service, tiny_model: Path, tmp_path: Path
) -> None:
    rows = [
        {"prompt": prompt if layout == "texts" else chat(prompt), "level": place, **OTHER_COLUMNS[layout]}
        for place, prompt in enumerate(PROMPTS)
    ]
    with Scored(f"http://{service.host}/", "format") as scored:
        tokenizer = AutoTokenizer.from_pretrained(tiny_model)
        learner = Learner(
            rewards=scored.processes.functions,
            watch=scored.watch,
            on_arrival=ScoringOnArrival(scored.processes.functions.values(), tokenizer),
            model=str(tiny_model),
            args=GRPOConfig(
                output_dir=str(tmp_path),
                use_cpu=True,
                bf16=False,
                report_to=[],
                num_generations=G,
                per_device_train_batch_size=len(rows),
                scale_rewards="none",
            ),
            train_dataset=datasets.Dataset.from_list(rows),
            processing_class=tokenizer,
            fleet=None,
        )
        learner.model.train()
        batch = learner._generate_and_score_completions([dict(row) for row in rows])
    AcceleratorState._reset_state(reset_partial_state=True)
    assert asked(service) == [ANSWERS[layout][:G], ANSWERS[layout][G:]]
    assert [body["level"] for _, _, body in service.requests] == [[0, 1], [2, 3, 4, 5]]
    assert batch["advantages"].tolist() == [0.5, -0.5, 0, 0, 0, 0]
    assert scored.errors() == {}
