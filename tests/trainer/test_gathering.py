"""A model that is split by ZeRO-3 is never whole on a rank: what a sync takes beside its shard is bounded by one bucket."""

import json

import pytest
import torch

from grpo_contract.weights import BLOCK_BYTES
from grpo_trainer.fleet import gathering
from grpo_trainer.fleet.gathering import buckets
from grpo_trainer.fleet.snapshot import MOST_THREADS
from trainer.gathering_rank import BUCKET_BYTES, LARGE_BYTES, LAYERS, WIDTH
from trainer.ranks import run_two_ranks

RANKS = 2
WHOLE_BYTES = LAYERS * WIDTH * WIDTH * 4
AT_ONCE = {"MALLOC_MMAP_THRESHOLD_": str(1 << 18)}
"""What is freed goes back to the system at once, so that resident memory is what is in use."""


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, int]]:
    out = tmp_path_factory.mktemp("ranks")
    run_two_ranks("gathering_rank.py", str(out), env=AT_ONCE)
    return [json.loads((out / f"rank{rank}.json").read_text()) for rank in range(RANKS)]


def test_no_more_than_a_bucket_is_gathered_at_once(results: list[dict[str, int]]) -> None:
    """Or one parameter, where that is larger."""
    assert [result["at once"] for result in results] == [BUCKET_BYTES] * RANKS
    assert [result["at once, large"] for result in results] == [LARGE_BYTES] * RANKS


def test_the_memory_of_rank_0_grows_by_a_bucket(results: list[dict[str, int]]) -> None:
    """Beside its shard and the snapshot. The new changes, 5 bytes for each hundredth element, take the place of none."""
    assert results[0]["shard"] == WHOLE_BYTES // RANKS
    changes = WHOLE_BYTES // 4 // 100 * 5
    comparing = MOST_THREADS * BLOCK_BYTES
    assert BUCKET_BYTES // 2 < results[0]["grew by"] < BUCKET_BYTES + changes + comparing


def test_what_is_published_is_the_whole_model(results: list[dict[str, int]]) -> None:
    assert results[0]["right"]


def parameters(*sizes_bytes: int) -> list[tuple[str, torch.nn.Parameter]]:
    return [(str(size), torch.nn.Parameter(torch.empty(size // 4))) for size in sizes_bytes]


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([], []),
        ([40, 40, 20], [[40, 40, 20]]),
        ([40, 40, 24, 40], [[40, 40], [24, 40]]),
        ([40, 200, 40], [[40], [200], [40]]),
        ([200], [[200]]),
    ],
)
def test_buckets_hold_as_much_as_fits(
    sizes: list[int], expected: list[list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gathering, "BUCKET_BYTES", 100)
    assert [[int(name) for name, _ in bucket] for bucket in buckets(parameters(*sizes))] == expected
