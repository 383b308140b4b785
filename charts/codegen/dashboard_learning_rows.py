"""Rows of the dashboard "GRPO run" about the run itself: how far it is, what it learns, what it writes.

Each panel says what it shows and what is healthy. Metric names are those of grpo_contract.metrics; a test holds every
query against them.
"""

from codegen.dashboard_panels import Line, band, by_ref, increase, lines, mean, number, rate, told_by_operator, value

STEPS_LEFT = f"({value('grpo_max_steps')} - {value('grpo_step')})"


def overview() -> list[Line]:
    return [
        [
            number(
                "Progress",
                "percentunit",
                f"{value('grpo_step')} / {value('grpo_max_steps')}",
                "Optimizer steps done, of all that the run will do.",
                decimals=0,
            ),
            number(
                "Step",
                "none",
                value("grpo_step"),
                "Optimizer steps done, over all attempts. After a restart it continues from the last checkpoint.",
            ),
            number(
                "Time left",
                "s",
                f"{STEPS_LEFT} * {mean('grpo_step_seconds')}",
                "Steps left, times the mean duration of a step in the window, waits for generators included; the run's "
                "status.progress.etaSeconds leaves these out.",
            ),
            number(
                "Reward",
                "short",
                value("grpo_reward"),
                "Mean reward of the last logged steps' completions, weighted over reward functions.",
                decimals=3,
            ),
            number(
                "KL",
                "short",
                value("grpo_kl"),
                "Divergence from the reference policy. With beta 0 none is computed.",
                decimals=4,
                if_absent="none",
            ),
            number(
                "Completion tokens / s",
                "short",
                rate("grpo_tokens_total", kind="completion"),
                "Completion tokens learnt from per second, over all generators.",
                decimals=1,
            ),
            number(
                "Generators in sync",
                "none",
                value("grpo_generators", state="in_sync"),
                "Generators that hold the learner's current weights. Healthy: as many as the run asks for.",
                decimals=0,
            ),
            number(
                "Age of checkpoint",
                "s",
                f"time() - {value('grpo_checkpoint_timestamp_seconds')}",
                "What a lost learner would cost. Healthy: below the duration of spec.checkpoint.everySteps steps.",
                if_absent="none yet",
            ),
        ],
    ]


def learning() -> list[Line]:
    return [_rewards(), _policy(), _optimisation()]


def _rewards() -> Line:
    reward, deviation = value("grpo_reward"), value("grpo_reward_std")
    return [
        band(
            lines(
                "Reward",
                "short",
                by_ref(
                    (reward, "mean"),
                    (f"{reward} + {deviation}", "mean + std"),
                    (f"{reward} - {deviation}", "mean - std"),
                ),
                "Mean reward of a step's completions, with one standard deviation to both sides. Healthy: it "
                "rises, and the band narrows late. A band of no width teaches nothing: see Groups without signal.",
            ),
            low="mean - std",
            high="mean + std",
        ),
        lines(
            "Reward functions",
            "short",
            by_ref((value("grpo_reward_func", "reward_func", stat="mean"), "{{reward_func}}")),
            "Mean of each reward function before weighting. Healthy: format rewards saturate first, accuracy "
            "follows. One that rises while accuracy falls is being gamed.",
        ),
        lines(
            "Spread of reward functions",
            "short",
            by_ref((value("grpo_reward_func", "reward_func", stat="std"), "{{reward_func}}")),
            "Standard deviation of each reward function. At 0 a function no longer tells completions apart.",
        ),
    ]


def _policy() -> Line:
    return [
        lines(
            "KL divergence",
            "short",
            by_ref((value("grpo_kl"), "KL")),
            "Divergence from the reference policy (Schulman's k3). Healthy: it grows slowly and stays small; a "
            "jump comes before a collapse. No data when beta is 0: TRL then computes none.",
        ),
        lines(
            "Loss",
            "short",
            by_ref((value("grpo_loss"), "loss")),
            "Policy loss. It says little in GRPO: advantages are centred, so it stays near beta times KL. Look "
            "for jumps.",
        ),
        lines(
            "Entropy",
            "short",
            by_ref((value("grpo_entropy"), "nats per token")),
            "Mean entropy of the policy per completion token. Healthy: it falls slowly. Near 0 the policy has "
            "stopped exploring; a rise without end is a policy that falls apart.",
        ),
    ]


def _optimisation() -> Line:
    return [
        lines(
            "Gradient norm",
            "short",
            by_ref((value("grpo_grad_norm"), "before clipping")),
            "Norm of the gradient before clipping. Healthy: steady; spikes ask for a lower learning rate or "
            "max_grad_norm.",
        ),
        lines(
            "Learning rate",
            "sci",
            by_ref((value("grpo_learning_rate"), "learning rate")),
            "As the schedule has it.",
        ),
        lines(
            "Clipped tokens",
            "percentunit",
            by_ref((value("grpo_clip_ratio", "bound"), "{{bound}}")),
            "Share of tokens whose probability ratio was clipped, at the low and high bound and in all (region). "
            "0 with one update per generation; above a fifth updates are too large.",
            highest=1,
        ),
        lines(
            "Not finite",
            "short",
            by_ref((f"{increase('grpo_not_finite_total', 'metric')} > 0", "{{metric}}")),
            "Logs in the window in which a metric was NaN or infinite; its own line has a gap there. Healthy: no data, ever: begin "
            "anew from a checkpoint before.",
        ),
    ]


def completions() -> list[Line]:
    return [
        [
            lines(
                "Completion length",
                "short",
                by_ref((value("grpo_completion_length_tokens", "stat"), "{{stat}}")),
                "Tokens per completion. Reasoning tasks lengthen as they are learnt; a maximum that stays at "
                "max_completion_length means that answers are cut off.",
            ),
            lines(
                "Cut-off completions",
                "percentunit",
                by_ref((value("grpo_completion_clipped_ratio"), "cut off at max_completion_length")),
                "Share of completions that reached max_completion_length. Healthy: below a tenth. They earn no reward "
                "for an answer, however good their reasoning.",
                highest=1,
            ),
            lines(
                "Groups without signal",
                "percentunit",
                by_ref((value("grpo_reward_zero_std_ratio"), "all rewards equal")),
                "Share of groups whose completions all earned the same: their advantage is 0. Near 1 the questions "
                "are too easy or too hard for the model.",
                highest=1,
            ),
            lines(
                "Padding",
                "percentunit",
                by_ref((value("grpo_padding_ratio"), "of the tokens that learners compute")),
                "Share of the learners' work that is for nothing, since completions are padded to the longest of their generation. A few "
                "long ones among short ones make it high: a lower max_completion_length cuts them off.",
                highest=1,
            ),
        ],
        [
            lines(
                "Sampler mismatch",
                "sci",
                by_ref((value("grpo_sampling_logp_difference", "stat"), "{{stat}}")),
                "Absolute difference between the generator's and the learner's log-probability of a sampled token. "
                "Healthy: flat; below 1e-4 in float32, around 1e-2 in bfloat16. Growth step by step means stale "
                "weights.",
                logarithmic=True,
            ),
            lines(
                "Importance ratio",
                "short",
                by_ref((value("grpo_importance_sampling_ratio", "stat"), "{{stat}}")),
                "Ratio between learner and generator that corrects the mismatch. Healthy: the mean is 1. No data when "
                "vllm_importance_sampling_correction is false, as with recipeDefaults of TRL 0.14 to 0.18: nothing is "
                "corrected then.",
            ),
        ],
        [
            lines(
                "Staleness",
                "short",
                by_ref(
                    (value("grpo_staleness_versions", "stat"), "{{stat}}"),
                    (increase("grpo_too_stale_completions_total"), "completions beyond the bound"),
                ),
                "How many versions older than the learner's the weights were that completions were sampled from. Healthy: at "
                "most spec.generators.maxStaleness, which is 0 on-policy; no completion beyond it, ever.",
            ),
            lines(
                "Replaced groups",
                "short",
                by_ref(
                    (increase("grpo_dynamic_sampling_groups_total", "outcome"), "{{outcome}}"),
                    (increase("grpo_dynamic_sampling_tokens_total"), "tokens thrown away"),
                ),
                "With spec.sampling.dynamic, groups in the window whose rewards were all equal: replaced by groups of other prompts, or "
                "left after the last round. Healthy: few are left; many that are replaced mean that most of what generators write "
                "is for nothing. 0 without it.",
            ),
            lines(
                "Failed rewards",
                "short",
                by_ref(
                    (
                        f"{increase('grpo_reward_errors_total', 'reward_func', 'reason')} > 0",
                        "{{reward_func}} {{reason}}",
                    )
                ),
                "Completions in the window that a reward function gave no score. Unless the reason is "
                "UnparsableSolution, their advantage is 0. Healthy: no data.",
            ),
        ],
    ]


def evaluation() -> list[Line]:
    return [
        [
            lines(
                "Evaluation: reward",
                "short",
                by_ref(
                    (value("grpo_eval_reward"), "evaluation"),
                    (value("grpo_eval_reward_std"), "its std"),
                    (value("grpo_reward"), "training"),
                ),
                "Mean and standard deviation of the reward on the rows kept for evaluation, at the last evaluation, beside the "
                "mean of training. Healthy: both means rise; one of training that rises alone is learnt by heart. No data "
                "in a run that does not evaluate.",
            ),
            lines(
                "Evaluation: reward functions",
                "short",
                by_ref((value("grpo_eval_reward_func", "reward_func", stat="mean"), "{{reward_func}}")),
                "Mean of each reward function before weighting, at the last evaluation.",
            ),
        ],
        [
            lines(
                "Evaluation: completion length",
                "short",
                by_ref((value("grpo_eval_completion_length_tokens", "stat"), "{{stat}}")),
                "Tokens per completion at the last evaluation.",
            ),
            lines(
                "Evaluation: cut-off completions",
                "percentunit",
                by_ref((value("grpo_eval_completion_clipped_ratio"), "cut off at max_completion_length")),
                "Share of the completions of the last evaluation that reached max_completion_length.",
                highest=1,
            ),
            lines(
                "Evaluation: step",
                "short",
                by_ref((value("grpo_eval_step"), "evaluated"), (value("grpo_step"), "done")),
                "Step of the last evaluation, beside the steps done. It stays behind by eval_steps at most.",
            ),
        ],
        [
            lines(
                "Benchmarks: scores",
                "short",
                by_ref((told_by_operator("grpo_benchmark_score", "task", "metric"), "{{task}} {{metric}}")),
                "What the newest benchmark found, by the names of the program that benchmarks. No data in a run whose recipe has no "
                "benchmarks. Healthy: they rise with the reward; a reward that rises alone is being hacked.",
            ),
            lines(
                "Benchmarks: step",
                "short",
                by_ref(
                    (told_by_operator("grpo_benchmark_step"), "benchmarked"),
                    (value("grpo_step"), "done"),
                ),
                "Steps of the model that these scores are of, beside the steps done. Benchmarks come one after the other: they "
                "stay behind where one takes longer than it is to the next checkpoint.",
            ),
        ],
    ]
