"""Environment variables that the operator sets in the pods of a run and the pods read."""

from typing import Final

POD_NAME: Final = "GRPO_POD_NAME"
POD_IP: Final = "GRPO_POD_IP"
RUN: Final = "GRPO_RUN"
"""Its name, which log entries have."""
ATTEMPT: Final = "GRPO_ATTEMPT"
LOGS: Final = "GRPO_LOGS"
"""How processes write their log; also set for the operator. Started by hand they write text."""
LOGS_AS_JSON: Final = "json"
JOB_INDEX: Final = "JOB_COMPLETION_INDEX"
"""Set by the Job controller in pods of an Indexed Job: the place of a learner pod among all."""

LAUNCHED_AT: Final = "GRPO_LAUNCHED_AT"
"""Set by a learner's launcher for its workers: when it started, in seconds since the machine did (CLOCK_BOOTTIME)."""
RENDEZVOUS: Final = "GRPO_RENDEZVOUS"
"""Set by a learner's launcher for its workers: of which run and attempt those are that they are to meet."""
GRACE_PERIOD: Final = "GRPO_GRACE_PERIOD_S"
"""Of the pod: seconds from SIGTERM until it is killed."""
END_REQUEST: Final = "GRPO_END_REQUEST"
"""Set by a learner's launcher for its workers: a folder in which both tell each other that the pod is asked to end."""

# For a learner or generator that is started by hand, outside a pod.
TOKEN_FILE: Final = "GRPO_TOKEN_FILE"
"""Instead of `files.TOKEN_FILE`."""
TERMINATION_FILE: Final = "GRPO_TERMINATION_FILE"
"""Instead of `files.TERMINATION_FILE`."""

# Of reward functions.
REWARD_CODE: Final = "GRPO_REWARD_CODE"
"""Set by a learner's launcher for its reward processes: folders to search for modules before those of PYTHONPATH."""
REWARD_TOKEN: Final = "GRPO_REWARD_TOKEN"
"""The user's own, from a Secret: what remote rewards are shown as bearer token."""

# Of benchmarks: what the command of the chart's `benchmarks.command` reads.
BENCHMARK_MODEL: Final = "GRPO_MODEL"
"""Folder of the model, a whole one also where the recipe trains an adapter."""
BENCHMARK_NAMES: Final = "GRPO_BENCHMARKS"
"""The recipe's names, with commas."""
BENCHMARK_TASKS: Final = "GRPO_TASKS"
"""What the chart's `benchmarks.tasks` calls them, with commas."""
BENCHMARK_RESULTS: Final = "GRPO_RESULTS"
"""Folder for what the command writes."""
BENCHMARK_SYSTEM_PROMPT: Final = "GRPO_SYSTEM_PROMPT"
"""The recipe's; empty without one."""
BENCHMARK_TRUST_REMOTE_CODE: Final = "GRPO_TRUST_REMOTE_CODE"
"""The recipe's trust_remote_code: true or false."""
BENCHMARK_GPUS: Final = "GRPO_GPUS"
"""How many the container has."""
