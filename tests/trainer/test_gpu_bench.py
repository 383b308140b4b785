"""What the benchmark of one GPU makes of weights and steps. Its measurements need a GPU, or run on `--sizes tiny`."""

import pytest
import torch
from transformers import TrainerState

from perf.gpu.__main__ import Measurement, measurements
from perf.gpu.changes import STEPS, is_measured, rate_of
from perf.gpu.sizes import SIZES
from perf.gpu.snapshot import Snapshots, changes, delta_bytes
from perf.gpu.steps import mfu, step_figures


def test_sizes_are_those_of_the_published_models() -> None:
    assert {name: SIZES[name].parameters for name in ("0.5B", "1.5B")} == {"0.5B": 494_032_768, "1.5B": 1_543_714_304}


def test_all_completions_of_a_step_are_learnt_from() -> None:
    for size in SIZES.values():
        for batch in (size.learnt, size.watched):
            assert batch.passes * batch.at_once == batch.prompts * batch.generations


def test_changes_are_found_bit_by_bit() -> None:
    old = torch.tensor([0.0, 1.0, 2.0, float("nan"), -3.0], dtype=torch.bfloat16)
    new = torch.tensor([-0.0, 1.0, 2.5, float("nan"), -3.0], dtype=torch.bfloat16)
    positions, gaps, values = changes(new, old)
    assert positions.tolist() == [0, 2]
    assert gaps.tolist() == [0, 1]
    assert values.view(torch.bfloat16).tolist() == [-0.0, 2.5]


@pytest.mark.parametrize(
    ("positions", "size"),
    [
        ([0, 1, 2], 3 * (2 + 1)),
        ([254], 2 + 1),
        ([255], 2 + 2),  # a gap of 255 takes two numbers of 8 bits, or one of 16
        ([65_535], 2 + 2 * 2),
        ([], 0),
    ],
)
def test_a_delta_takes_the_smaller_width_of_gaps(positions: list[int], size: int) -> None:
    assert delta_bytes(torch.tensor(positions, dtype=torch.int64)) == size


def test_snapshots_compare_with_the_version_before() -> None:
    snapshots = Snapshots()
    weights = torch.zeros(4, dtype=torch.bfloat16)
    snapshots.take(iter([("w", weights)]))
    assert snapshots.is_first
    weights[3] = 1.0
    snapshots.take(iter([("w", weights)]))
    assert snapshots.changes() == {"changed_share": 0.25, "delta_bytes": 3, "dense_bytes": 8}
    assert snapshots.costs()["is_identical"]
    snapshots.take(iter([("w", weights)]))
    assert snapshots.changes() == {"changed_share": 0.0, "delta_bytes": 0, "dense_bytes": 8}


def test_the_last_steps_of_each_rate_are_measured() -> None:
    assert [step for step in range(STEPS) if is_measured(step)] == [22, 23, 24, 27, 28, 29]
    assert [rate_of(step) for step in (0, 24, 25, 29)] == [1e-6, 1e-6, 1e-5, 1e-5]


def test_share_of_the_peak() -> None:
    assert mfu(parameters=494_032_768, tokens=40_000, seconds=0.5) == 0.3197


def test_steps_after_the_first_ones_count() -> None:
    state = TrainerState()
    state.log_history = [{"loss": 0.5, "grad_norm": 1.0, "num_tokens": 100.0}, {"loss": 0.25, "num_tokens": 300.0}, {}]
    figures = step_figures(1_000, [9.0, 8.0, 7.0, 1.0, 2.0, 4.0], state, completion_tokens=50)
    assert {name: figures[name] for name in ("steps", "step_s", "slowest_step_s", "tokens", "tokens_per_s")} == {
        "steps": 3,
        "step_s": 2.0,
        "slowest_step_s": 4.0,
        "tokens": 200,
        "tokens_per_s": 100,
    }
    assert (figures["completion_tokens_per_s"], figures["losses"]) == (25, [0.5, 0.25])


def test_sides_take_turns_in_being_first() -> None:
    assert list(measurements(["tiny"], 2, ["learner", "overlap", "changes"])) == [
        Measurement("machine"),
        Measurement("sizes", "tiny"),
        Measurement("ours", "tiny", 1),
        Measurement("stock", "tiny", 1),
        Measurement("stock", "tiny", 2),
        Measurement("ours", "tiny", 2),
        Measurement("ours", "tiny", max_staleness=0),
        Measurement("ours", "tiny", max_staleness=1),
        Measurement("changes", "tiny"),
    ]
