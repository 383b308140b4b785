"""Only rank 0 talks to generators; every rank gets its own completions, or its share of the bad news."""

import json
from pathlib import Path
from typing import Any

import pytest

from trainer.published import IN_SYNC
from trainer.ranks import run_two_ranks
from trainer.running_generator import RunningGenerator

RANKS = 2
PROMPTS_PER_RANK, G = 2, 2


@pytest.fixture(scope="module")
def results(
    generator: RunningGenerator, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> list[dict[str, Any]]:
    out = tmp_path_factory.mktemp("ranks")
    run_two_ranks("fleet_rank.py", str(tiny_model), generator.url, str(out))
    return [json.loads((out / f"rank{rank}.json").read_text()) for rank in range(RANKS)]


def test_every_rank_waits_for_the_generators_weights_in_its_sync(results: list[dict[str, Any]]) -> None:
    """And not in the next collective, whose time-out knows nothing of what a sync may take."""
    assert [result["is synced"] for result in results] == [True] * RANKS


def test_each_rank_gets_the_completions_of_its_own_prompts(results: list[dict[str, Any]]) -> None:
    for result in results:
        assert len(result["completions"]) == PROMPTS_PER_RANK * G
        assert result["difference"] < IN_SYNC
    assert results[0]["completions"] != results[1]["completions"]


def test_each_rank_is_told_of_its_own_completions_as_they_come(results: list[dict[str, Any]]) -> None:
    for result in results:
        assert result["arrived"] == [list(item) for item in enumerate(result["completions"])]


BAD_NEWS = (
    "GeneratorsLost: no generator was there for 1 s (no generator has an address); look at the run's condition "
    "GeneratorsReady and at the generators' logs."
)


def test_every_rank_learns_that_the_generators_are_gone(results: list[dict[str, Any]]) -> None:
    assert [result["lost"] for result in results] == [BAD_NEWS] * RANKS


def test_a_rank_that_has_all_of_its_completions_learns_it_too(results: list[dict[str, Any]]) -> None:
    assert [result["arrived before all was lost"] for result in results] == [[], list(range(PROMPTS_PER_RANK * G))]
    assert [result["lost late"] for result in results] == [BAD_NEWS] * RANKS


def test_the_next_weights_take_the_place_of_the_last_ones(results: list[dict[str, Any]]) -> None:
    """Each version is the whole model in learner 0's memory."""
    assert [result["second copies"] for result in results] == [0] * RANKS
