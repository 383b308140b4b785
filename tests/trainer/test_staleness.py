"""How stale completions were that are learnt from, by the versions that training was given."""

from collections import defaultdict, deque
from types import SimpleNamespace
from typing import Any

import pytest

from grpo_trainer.sampling.overlap import OverlappedTrainer


def trainer(max_staleness: int, versions: list[int], sampled_from: list[int]) -> Any:
    return SimpleNamespace(
        max_staleness=max_staleness,
        vllm_generation=SimpleNamespace(sampled_from=sampled_from),
        accelerator=SimpleNamespace(gather=lambda own: own, device="cpu"),
        _versions=deque(versions, maxlen=max_staleness + 1),
        _metrics={"train": defaultdict(list)},
        _num_too_stale=0,
    )


@pytest.mark.parametrize(
    ("max_staleness", "sampled_from", "mean", "most", "num_too_stale"),
    [
        (0, [5, 5, 5, 5], 0.0, 0.0, 0),
        (0, [5, 4, 3, 5], 0.5, 1.0, 2),
        # 4 was for an evaluation: training came from 3 to 5.
        (1, [5, 4, 3, 3], 0.75, 1.0, 0),
        (1, [5, 3, 2, 1], 1.25, 2.0, 2),
        (2, [5, 3, 2, 2], 1.25, 2.0, 0),
    ],
)
def test_staleness_is_counted_in_versions_of_training(
    max_staleness: int, sampled_from: list[int], mean: float, most: float, num_too_stale: int
) -> None:
    learner = trainer(max_staleness, [2, 3, 5], sampled_from)
    OverlappedTrainer._tell_staleness(learner)
    assert learner.staleness == {"mean": mean, "max": most}
    assert OverlappedTrainer.take_num_too_stale(learner) == num_too_stale
    assert OverlappedTrainer.take_num_too_stale(learner) == 0
    logged = {"staleness/mean": [mean], "staleness/max": [most]}
    assert learner._metrics["train"] == (logged if max_staleness else {})
