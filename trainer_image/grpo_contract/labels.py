"""Labels and annotations of everything that belongs to a run."""

from enum import StrEnum
from typing import Final

API_GROUP: Final = "grpo.dev"

RUN_LABEL: Final = f"{API_GROUP}/run"
RUN_UID_LABEL: Final = f"{API_GROUP}/run-uid"
"""Of pods only, whose owners are Jobs and ReplicaSets: tells them from those of a deleted run of the same name."""

ROLE_LABEL: Final = f"{API_GROUP}/role"
ATTEMPT_LABEL: Final = f"{API_GROUP}/attempt"

BENCHMARK_LABEL: Final = f"{API_GROUP}/benchmark"
"""Which of the run's models a benchmark is of: see `benchmarks`."""

JOB_INDEX_LABEL: Final = "batch.kubernetes.io/job-completion-index"
"""Set by the Job controller on pods of an Indexed Job: which learner a pod is."""


class Role(StrEnum):
    """What a pod of a run does; the value of ROLE_LABEL."""

    LEARNER = "learner"
    GENERATOR = "generator"
    BENCHMARK = "benchmark"
