"""Completions reach the other ranks, and the reward functions, while others are still being written."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from accelerate import Accelerator
from transformers import AutoModelForCausalLM

from grpo_contract.config import Deadlines
from grpo_trainer.fleet import courier, generation
from grpo_trainer.fleet.completion import Completion
from grpo_trainer.fleet.fleet import Ticket
from grpo_trainer.fleet.generation import FleetGeneration, FleetSettings
from grpo_trainer.fleet.seeds import seeds_of
from trainer.recording_observer import RecordingObserver

G = 2
PROMPTS = [[1], [2], [3]]


class WritesOneGroupAtATime:
    """The fleet; the last prompt's completions come first."""

    waited: ClassVar[list[float]] = []
    first: ClassVar[list[bool]] = []
    """Of each batch, whether it came before all that waited."""
    seeds: ClassVar[list[Sequence[int]]] = []

    def __init__(self, *_: Any) -> None:
        pass

    def submit(
        self,
        prompts: Sequence[list[int]],
        num_generations: int,
        sampling: Mapping[str, Any],
        seeds: Sequence[int],
        *,
        first: bool,
    ) -> list[Ticket]:
        self.first.append(first)
        self.seeds.append(seeds)
        return [Ticket(prompt, SimpleNamespace(num_generations=num_generations), seed=0) for prompt in prompts]  # type: ignore[arg-type]

    def wake(self) -> None:
        pass

    def wait(self, tickets: Sequence[Ticket], timeout_s: float) -> None:
        self.waited.append(timeout_s)
        ticket = [ticket for ticket in tickets if ticket.completions is None][-1]
        ticket.completions = [Completion([*ticket.prompt, place], [-1.0, -2.0]) for place in range(G)]


@pytest.fixture
def seam(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> FleetGeneration:
    monkeypatch.setattr(generation, "Fleet", WritesOneGroupAtATime)
    return FleetGeneration(
        FleetSettings(SimpleNamespace(urls=list), str, "127.0.0.1", 0, Deadlines(), RecordingObserver()),
        seed=1,
        model=AutoModelForCausalLM.from_pretrained(tiny_model),
        accelerator=Accelerator(cpu=True),
        processing_class=None,
    )


def test_completions_come_with_their_places_group_by_group(seam: FleetGeneration) -> None:
    portions: list[Mapping[int, list[int]]] = []
    seam.inbox.told = lambda batch, completions: portions.append(completions)

    prompts, completions, logprobs, _ = seam.generate([prompt for prompt in PROMPTS for _ in range(G)], None, G)

    assert portions == [{4: [3, 0], 5: [3, 1]}, {2: [2, 0], 3: [2, 1]}, {0: [1, 0], 1: [1, 1]}]
    assert completions == [[1, 0], [1, 1], [2, 0], [2, 1], [3, 0], [3, 1]]
    assert logprobs == [[[-1.0], [-2.0]]] * 6
    assert prompts == [[1], [1], [2], [2], [3], [3]]
    assert WritesOneGroupAtATime.waited == [courier.PORTION_S] * 3


def test_what_is_wanted_next_comes_before_what_is_asked_for_ahead(
    seam: FleetGeneration, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(WritesOneGroupAtATime, "first", [])
    prompts = [prompt for prompt in PROMPTS for _ in range(G)]
    seam.wanted = "now"
    seam.ask("ahead", prompts, G)
    seam.ask("now", prompts, G)
    seam.generate(prompts, None, G)
    assert WritesOneGroupAtATime.first == [False, True]


@pytest.mark.parametrize(("own", "seed"), [({}, 1), ({"seed": 7}, 7)])
def test_groups_have_the_seeds_of_the_run_and_the_batch(
    seam: FleetGeneration, monkeypatch: pytest.MonkeyPatch, own: dict[str, Any], seed: int
) -> None:
    monkeypatch.setattr(WritesOneGroupAtATime, "seeds", [])
    monkeypatch.setattr(seam, "generation_kwargs", own)
    prompts = [prompt for prompt in PROMPTS for _ in range(G)]
    seam.wanted = "training 3"
    seam.ask("training 3", prompts, G)
    seam.generate(prompts, None, G)
    assert WritesOneGroupAtATime.seeds == [seeds_of(seed, "training 3", len(PROMPTS))]
