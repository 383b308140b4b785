"""Every metric that the product exports itself, once: exporter, dashboard tests and the metrics reference read this table.

vLLM's own metrics (`vllm:*`) come from the generators as they are. Run and namespace are labels of the scrape target.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Source(StrEnum):
    LEARNER = "learner 0"
    OPERATOR = "operator"


class Kind(StrEnum):
    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"


@dataclass(frozen=True)
class Metric:
    """`trl_key` is the key of TRL's log that a gauge copies; metrics without one are measured by us."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    source: Source = Source.LEARNER
    trl_key: str | None = None
    buckets: tuple[float, ...] = ()

    @property
    def copies_trl(self) -> bool:
        return self.trl_key is not None or self.name in TRL_KEYS_BY_LABEL or self.name in REWARD_FUNC_GAUGES

    @property
    def is_of_evaluation(self) -> bool:
        return self.name.startswith("grpo_eval_")


SECONDS_BUCKETS: Final = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800)


class Phase(StrEnum):
    """Parts of a training step, and what happens between steps; the values of grpo_phase_seconds{phase}."""

    GENERATE = "generate"
    """Until the completions of the batch are there and in TRL's form: all of their writing, or with
    spec.generators.maxStaleness what learners still have to wait for."""
    REWARD = "reward"
    """What scoring takes after that; completions are scored as they come."""
    LEARN = "learn"
    """All the rest of the step: log-probabilities, loss, gradients, the optimizer."""
    WEIGHT_SYNC = "weight_sync"
    """Until the new version of the weights is made, and without maxStaleness until all generators have it."""
    CHECKPOINT = "checkpoint"
    """A checkpoint, between two steps."""
    WAIT = "wait"
    """What of generation passed while no generator was there to write."""
    EVALUATE = "evaluate"
    """An evaluation as a whole, between two steps."""


class StartupPart(StrEnum):
    """What follows each other from the start of learner 0's container; the values of grpo_startup_seconds{part}."""

    LAUNCH = "launch"
    """The launcher, which checks the recipe."""
    IMPORTS = "imports"
    """The libraries: torch, transformers, TRL."""
    RANKS = "ranks"
    """All ranks come, and meet in one process group."""
    TOKENIZER = "tokenizer"
    """With the checks of the recipe that need TRL; downloads included."""
    REWARDS = "rewards"
    """What is left to wait for reward processes, which load their functions meanwhile."""
    DATA = "data"
    """The data set; downloads included."""
    MODEL = "model"
    """The model, the optimizer and ZeRO-3, or the checkpoint; downloads included."""
    GENERATORS = "generators"
    """Until the first generator holds the first weights."""
    FIRST_STEP = "first_step"
    """The first step without that."""


class PushOutcome(StrEnum):
    """How a push to the hub ended; the values of grpo_hub_pushes_total{result}."""

    PUSHED = "pushed"
    FAILED = "failed"
    SKIPPED = "skipped"


class GroupOutcome(StrEnum):
    """What became of a group whose rewards were all equal; the values of grpo_dynamic_sampling_groups_total{outcome}."""

    REPLACED = "replaced"
    LEFT = "left"


class RewardError(StrEnum):
    """Why a reward function gave a completion no score; the values of grpo_reward_errors_total{reason}."""

    TIMEOUT = "Timeout"
    """The call did not end within spec.rewards.timeoutSeconds, or math-verify within its own limit."""
    EXCEPTION = "Exception"
    """The function raised an error, or returned something that is no number; of a remote reward, its answer holds no list of scores."""
    WRONG_LENGTH = "WrongLength"
    """The function returned another number of scores than it was given completions."""
    WORKER_LOST = "WorkerLost"
    """The process that ran the function ended: a crash in native code, an exit, or memory where the kernel ends single processes."""
    FAILED = "Failed"
    """The function itself said FAILED, or returned an infinite number."""
    SERVICE_ERROR = "ServiceError"
    """The service of a remote reward could not be reached, or answered with another status than 2xx, in the last try as well."""
    UNPARSABLE_SOLUTION = "UnparsableSolution"
    """There is no answer in the row's solution. The other functions' scores count; this is no failure of scoring."""


def _gauge(name: str, help: str, *labels: str, trl_key: str | None = None) -> Metric:
    return Metric(name, Kind.GAUGE, help, labels, trl_key=trl_key)


def _counter(name: str, help: str, *labels: str) -> Metric:
    return Metric(name, Kind.COUNTER, help, labels)


def _seconds(name: str, help: str, *labels: str) -> Metric:
    return Metric(name, Kind.HISTOGRAM, help, labels, buckets=SECONDS_BUCKETS)


LEARNER_METRICS: Final = (
    _gauge("grpo_step", "Optimizer steps done."),
    _gauge("grpo_max_steps", "Optimizer steps that the run will do."),
    _gauge("grpo_epoch", "Passes over the data set.", trl_key="epoch"),
    _gauge("grpo_reward", "Mean reward of completions, weighted sum over reward functions.", trl_key="reward"),
    _gauge("grpo_reward_std", "Standard deviation of the reward over a step's completions.", trl_key="reward_std"),
    _gauge("grpo_reward_func", "Mean and standard deviation of one reward function.", "reward_func", "stat"),
    _gauge("grpo_reward_zero_std_ratio", "Share of groups whose rewards are all equal: they teach nothing. With scale_rewards batch, or "
           "multi_objective_aggregation normalize_then_sum, TRL judges all completions of a step as one group.",
           trl_key="frac_reward_zero_std"),
    _gauge("grpo_kl", "KL divergence from the reference policy (Schulman's k3). Absent when beta is 0: TRL then computes none.",
           trl_key="kl"),
    _gauge("grpo_loss", "Policy loss.", trl_key="loss"),
    _gauge("grpo_entropy", "Mean entropy of the policy per completion token, in nats.", trl_key="entropy"),
    _gauge("grpo_grad_norm", "Norm of the gradient before clipping.", trl_key="grad_norm"),
    _gauge("grpo_learning_rate", "Learning rate.", trl_key="learning_rate"),
    _gauge("grpo_clip_ratio", "Share of tokens whose probability ratio was clipped.", "bound"),
    _gauge("grpo_completion_length_tokens", "Length of completions.", "stat"),
    _gauge("grpo_completion_clipped_ratio", "Share of completions cut off at max_completion_length.",
           trl_key="completions/clipped_ratio"),
    _gauge("grpo_sampling_logp_difference",
           "Absolute difference between the generator's and the learner's log-probability of a sampled token. With "
           "vllm_importance_sampling_correction false TRL does not measure it, and the learner does.", "stat"),
    _gauge("grpo_importance_sampling_ratio",
           "Importance-sampling ratio between learner and generator. Absent when vllm_importance_sampling_correction is "
           "false: nothing is corrected then.", "stat"),
    _gauge("grpo_staleness_versions", "How many versions older than the learner's the weights were that completions were sampled from, by "
           "their first token; 0 is on-policy. What is too stale counts as one more than may be.", "stat"),
    _counter("grpo_too_stale_completions_total", "Completions that were learnt from although they were more stale than "
             "spec.generators.maxStaleness allows: anything but 0 is a defect."),
    _counter("grpo_dynamic_sampling_groups_total", "With spec.sampling.dynamic, groups whose rewards were all equal: replaced by groups of other "
             "prompts, or left as they were after so many rounds as spec.sampling.maxRounds.", "outcome"),
    _counter("grpo_dynamic_sampling_tokens_total", "Tokens of completions that spec.sampling.dynamic threw away."),
    _gauge("grpo_startup_seconds", "From the start of learner 0's container to the end of the first step of this attempt, in parts that "
           "follow each other.", "part"),
    _seconds("grpo_step_seconds", "Duration of a training step."),
    _seconds("grpo_phase_seconds", "Duration of a part of a training step; of an evaluation as a whole, with phase evaluate.", "phase"),
    _gauge("grpo_learner_idle_ratio", "Share of a step in which learners waited for completions, mean over about the last ten steps."),
    _gauge("grpo_generator_idle_ratio", "Share of a step in which no generator had anything to write, mean over about the last ten steps."),
    _gauge("grpo_padding_ratio", "Share of the tokens of learners' forward passes that are padding, or of cut-off completions that "
           "mask_truncated_completions leaves out."),
    _counter("grpo_tokens_total", "Tokens of prompts and completions that were learnt from.", "kind"),
    _counter("grpo_not_finite_total", "Logs in which a metric was NaN or infinite; its gauge is absent then. Mostly the gradient norm: of means TRL leaves NaN out before it logs them.", "metric"),
    _counter("grpo_reward_errors_total", "Completions that a reward function gave no score, by reason.", "reward_func", "reason"),
    _gauge("grpo_eval_step", "Optimizer steps done when the last evaluation was made."),
    _gauge("grpo_eval_reward", "Mean reward of the last evaluation's completions, weighted sum over reward functions.",
           trl_key="eval_reward"),
    _gauge("grpo_eval_reward_std", "Standard deviation of the reward over the last evaluation's completions.",
           trl_key="eval_reward_std"),
    _gauge("grpo_eval_reward_func", "Mean and standard deviation of one reward function in the last evaluation.", "reward_func", "stat"),
    _gauge("grpo_eval_completion_length_tokens", "Length of the last evaluation's completions.", "stat"),
    _gauge("grpo_eval_completion_clipped_ratio", "Share of the last evaluation's completions cut off at max_completion_length.",
           trl_key="eval_completions/clipped_ratio"),
    _gauge("grpo_weight_version", "Weight updates published in this attempt."),
    _seconds("grpo_weight_sync_seconds", "Duration of a weight update of one generator."),
    _seconds("grpo_weight_swap_pause_seconds", "How long a generator wrote nothing in a weight update."),
    _counter("grpo_weight_sync_bytes_total", "Bytes of weights, and of changes of weights, sent to generators."),
    _counter("grpo_weight_sync_failures_total", "Weight updates of a generator that failed."),
    _gauge("grpo_generators", "Generators that the learner knows: in_sync hold weights that are new enough (its current ones, or no older than spec.generators.maxStaleness allows), ready answer and do not or are asked to end, lost do not answer.", "state"),
    _counter("grpo_generator_failovers_total", "Groups that were sent to another generator after theirs failed."),
    _counter("grpo_generator_completions_total", "Completions taken from a generator.", "generator"),
    _counter("grpo_generator_tokens_total", "Tokens of the completions taken from a generator.", "generator"),
    _counter("grpo_generator_busy_seconds_total", "Time in which a generator had something to write.", "generator"),
    _gauge("grpo_checkpoint_timestamp_seconds", "Unix time of the newest checkpoint."),
    _gauge("grpo_checkpoint_step", "Step of the newest checkpoint."),
    _gauge("grpo_volume_size_bytes", "Size of the file system that checkpoints lie on, when learners started or saved one last."),
    _gauge("grpo_volume_available_bytes", "What of it was free then."),
    _counter("grpo_checkpoint_failures_total", "Checkpoints that were not written, or that were damaged when an attempt was to go on from "
             "them.", "reason"),
    _counter("grpo_completions_not_kept_total", "Completions that were learnt from and are not on the volume to be read: it refused them, or takes them too slowly."),
    _counter("grpo_hub_pushes_total", "Pushes to the hub: pushed, failed, or skipped because newer checkpoints waited.", "result"),
)  # fmt: skip

REWARD_FUNC_GAUGES: Final = ("grpo_reward_func", "grpo_eval_reward_func")
"""Each copies mean and standard deviation of each reward function."""

# Gauges with a `stat` or `bound` label: {metric: {label value: key of TRL's log}}.
TRL_KEYS_BY_LABEL: Final = {
    "grpo_clip_ratio": {
        "low": "clip_ratio/low_mean",
        "high": "clip_ratio/high_mean",
        "region": "clip_ratio/region_mean",
    },
    "grpo_completion_length_tokens": {
        "mean": "completions/mean_length",
        "min": "completions/min_length",
        "max": "completions/max_length",
    },
    "grpo_eval_completion_length_tokens": {
        "mean": "eval_completions/mean_length",
        "min": "eval_completions/min_length",
        "max": "eval_completions/max_length",
    },
    "grpo_sampling_logp_difference": {
        "mean": "sampling/sampling_logp_difference/mean",
        "max": "sampling/sampling_logp_difference/max",
    },
    "grpo_importance_sampling_ratio": {
        "min": "sampling/importance_sampling_ratio/min",
        "mean": "sampling/importance_sampling_ratio/mean",
        "max": "sampling/importance_sampling_ratio/max",
    },
}


def _of_run(name: str, help: str, *labels: str) -> Metric:
    return _operator(name, Kind.GAUGE, help, "run_namespace", "run", *labels)


def _operator(name: str, kind: Kind, help: str, *labels: str, buckets: tuple[float, ...] = ()) -> Metric:
    return Metric(name, kind, help, labels, Source.OPERATOR, buckets=buckets)


# Names and meaning of the last five are controller-runtime's, so that existing dashboards for controllers work.
OPERATOR_METRICS: Final = (
    _operator("grpo_runs", Kind.GAUGE, "GRPORuns by phase; 0 on a replica that waits.", "phase"),
    _operator("grpo_run_restarts_total", Kind.COUNTER, "Attempts that were started again.", "role", "reason"),
    _of_run("grpo_run_phase", "1 for the phase that a run is in; others are not told.", "phase"),
    _of_run("grpo_run_step", "Optimizer steps done, by the run's status; also when its learners are gone."),
    _of_run("grpo_run_max_steps", "Optimizer steps that the run will do."),
    _of_run("grpo_run_seconds_per_step", "Mean duration of its last steps, without waits for a generator."),
    _of_run("grpo_run_checkpoint_step", "Step of its newest checkpoint; absent without one."),
    _of_run("grpo_run_checkpoint_every_steps", "spec.checkpoint.everySteps."),
    _of_run("grpo_run_attempt", "Its current attempt: one more with each restart, whatever ended the one before."),
    _of_run("grpo_run_learners", "Learner pods: desired, and ready of these.", "state"),
    _of_run("grpo_run_generators", "Generator pods: desired, ready of these, in_sync with the learners' weights, and recommended by status.generators.", "state"),
    _of_run("grpo_run_gpus", "GPUs that its pods hold, or wait for while it is active.", "role"),
    _of_run("grpo_run_condition", "Each condition of the run: 1 where it is True, 0 where it is False; Unknown is not told.", "type", "reason"),
    _of_run("grpo_run_last_failure_timestamp_seconds", "Unix time at which its last failed attempt was noticed.", "reason"),
    _of_run("grpo_benchmark_score", "What the newest benchmark of a run's models found; see grpo_benchmark_step.", "task", "metric"),
    _of_run("grpo_benchmark_step", "Optimizer steps of the model that it was made of."),
    _operator("controller_runtime_reconcile_total", Kind.COUNTER, "Reconciliations.", "controller", "result"),
    _operator("controller_runtime_reconcile_errors_total", Kind.COUNTER, "Reconciliations that failed.", "controller"),
    _operator("controller_runtime_reconcile_time_seconds", Kind.HISTOGRAM, "Duration of a reconciliation.", "controller",
              buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30)),
    _operator("workqueue_depth", Kind.GAUGE, "Runs waiting to be looked at; 0 on a replica that waits.", "name"),
    _operator("rest_client_requests_total", Kind.COUNTER, "Requests to the API server.", "method", "code"),
)  # fmt: skip
