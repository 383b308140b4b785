"""Rows of the dashboard "GRPO run" about what the run costs: time, generators, weight updates, checkpoints.

Each panel says what it shows and what is healthy. Metric names are those of grpo_contract.metrics and vLLM's own
(`vllm:*`); a test holds every query against them.
"""

from codegen.dashboard_panels import (
    Line,
    by_ref,
    hours,
    increase,
    lines,
    mean,
    number,
    of_pods,
    quantile,
    rate,
    told_by_operator,
    value,
)


def speed() -> list[Line]:
    asked = rate("vllm:prefix_cache_queries_total", "pod")
    per_step = f"{rate('grpo_phase_seconds_sum', 'phase')} / on() group_left() {rate('grpo_step_seconds_count')}"
    return [
        [
            lines(
                "Step time by phase",
                "s",
                by_ref((per_step, "{{phase}}")),
                "Where the seconds of a step go, mean in the window. Much wait or generate: add generators. Much "
                "learn: add learners.",
                stacked=True,
            ),
            lines(
                "Step time",
                "s",
                by_ref((mean("grpo_step_seconds"), "mean"), (quantile(0.95, "grpo_step_seconds"), "95th percentile")),
                "Duration of a training step. The percentile is as coarse as the histogram's buckets.",
            ),
            lines(
                "Idle",
                "percentunit",
                by_ref(
                    (value("grpo_learner_idle_ratio"), "learners"), (value("grpo_generator_idle_ratio"), "generators")
                ),
                "Share of a step in which learners wait for completions, and in which generators have nothing to write. Where they "
                "take turns both add up to about 1, and spec.generators.maxStaleness hides one of them. status.recommendation says what "
                "would help.",
                highest=1,
            ),
            lines(
                "Tokens per second",
                "short",
                by_ref((rate("grpo_tokens_total", "kind"), "{{kind}}")),
                "Tokens that were learnt from, per second over all generators.",
            ),
        ],
        [
            lines(
                "Requests in vLLM",
                "short",
                by_ref(
                    (of_pods("vllm:num_requests_running"), "running {{pod}}"),
                    (of_pods("vllm:num_requests_waiting"), "waiting {{pod}}"),
                ),
                "Sequences being decoded and sequences that wait for room. Healthy: alike on all generators; many "
                "waiting ask for more generators or a larger share of GPU memory.",
            ),
            lines(
                "Tokens per second by generator",
                "short",
                by_ref((rate("vllm:generation_tokens_total", "pod"), "{{pod}}")),
                "Tokens that each generator writes, by vLLM's own count. 0 while the learner learns.",
            ),
        ],
        [
            lines(
                "Prefix cache hits",
                "percentunit",
                by_ref((f"{rate('vllm:prefix_cache_hits_total', 'pod')} / ({asked} > 0)", "{{pod}}")),
                "Share of prompt tokens that vLLM had computed before. Healthy: near (G - 1) / G with G completions of a prompt, which "
                "compute it once.",
                highest=1,
            ),
            lines(
                "KV cache in use",
                "percentunit",
                by_ref((of_pods("vllm:kv_cache_usage_perc"), "{{pod}}")),
                "Share of the KV cache that is taken. At 1 vLLM preempts and computes again.",
                highest=1,
            ),
            lines(
                "Start by part",
                "s",
                by_ref((value("grpo_startup_seconds", "part"), "{{part}}")),
                "From the start of learner 0's container to the end of its first step; each attempt pays it anew. Much "
                "generators: they started later than the learners. Much model or data: downloads, which the volume keeps.",
                stacked=True,
            ),
        ],
    ]


LEARNERS = told_by_operator("grpo_run_gpus", role="learner")
GENERATORS = told_by_operator("grpo_run_gpus", role="generator")
LEARNERS_IDLE, GENERATORS_IDLE = value("grpo_learner_idle_ratio"), value("grpo_generator_idle_ratio")


def gpus() -> list[Line]:
    return [
        [
            number(
                "GPU-hours",
                "none",
                f"sum({hours(told_by_operator('grpo_run_gpus', 'role'))})",
                "What the run's pods have held, or waited for while it was active, in the chosen time; learners and generators together.",
                decimals=1,
            ),
            number(
                "GPU-hours waited",
                "none",
                f"{hours(f'{LEARNERS} * {LEARNERS_IDLE}')} + {hours(f'{GENERATORS} * {GENERATORS_IDLE}')}",
                "Those of them in which learners waited for completions, or generators had nothing to write. Healthy: less than a "
                "quarter.",
                decimals=1,
            ),
            lines(
                "Where the GPUs' time goes",
                "short",
                by_ref(
                    (f"{LEARNERS} * (1 - {LEARNERS_IDLE})", "learners busy"),
                    (f"{GENERATORS} * (1 - {GENERATORS_IDLE})", "generators busy"),
                    (f"{LEARNERS} * {LEARNERS_IDLE}", "learners waiting"),
                    (f"{GENERATORS} * {GENERATORS_IDLE}", "generators waiting"),
                ),
                "GPUs that the run holds, by what they do. Healthy: little waits on either side; where both take turns, "
                "spec.generators.maxStaleness lets them work at the same time.",
                stacked=True,
            ),
            lines(
                "Generators that would balance",
                "none",
                by_ref((told_by_operator("grpo_run_generators", "state"), "{{state}}")),
                "Generator pods: desired, ready, in sync, and as many as would leave neither side waiting much (recommended; absent "
                "where no number helps). Healthy: all alike.",
            ),
        ],
    ]


def fleet() -> list[Line]:
    busy = f"({rate('grpo_generator_busy_seconds_total', 'generator')} > 0)"
    return [
        [
            lines(
                "Generators",
                "short",
                by_ref((value("grpo_generators", "state"), "{{state}}")),
                "Generators that the learner knows: they hold its current weights (in_sync), answer without them yet or "
                "are asked to end (ready), or do not answer (lost). Healthy: in_sync equals what the run asks for.",
            ),
            lines(
                "Completions per second by generator",
                "short",
                by_ref((rate("grpo_generator_completions_total", "generator"), "{{generator}}")),
                "Completions that the learner took from each generator, which gets as many as it is fast. Healthy: alike.",
            ),
            lines(
                "Failovers",
                "short",
                by_ref(
                    (increase("grpo_generator_failovers_total"), "groups sent elsewhere"),
                    (increase("grpo_weight_sync_failures_total"), "failed weight updates"),
                ),
                "In the window. Healthy: 0. They cost time, never a step.",
            ),
        ],
        [
            lines(
                "Pace of generators",
                "short",
                by_ref((f"{rate('grpo_generator_tokens_total', 'generator')} / {busy}", "{{generator}}")),
                "Tokens per second that each generator writes while it has something to write; groups are routed by it. "
                "Healthy: alike on GPUs of one kind. Look at the node of one that stays below the others.",
            ),
            lines(
                "Imbalance of generators",
                "percentunit",
                by_ref((f"1 - avg ({busy}) / max ({busy})", "time without work")),
                "Share of the time in which one of them writes that the generators have nothing to write, on average: they "
                "wait for the last groups. Healthy: under a third, and less the more groups a batch has; with fewer "
                "groups than generators some are always without.",
                highest=1,
            ),
        ],
        [
            lines(
                "Weight version",
                "none",
                by_ref((value("grpo_weight_version"), "updates published")),
                "Weight updates published in this attempt: one before each generation that follows an optimizer step.",
            ),
            lines(
                "Weight update time",
                "s",
                by_ref(
                    (mean("grpo_weight_sync_seconds"), "mean"),
                    (quantile(0.95, "grpo_weight_sync_seconds"), "95th percentile"),
                    (mean("grpo_weight_swap_pause_seconds"), "of it without writing, mean"),
                ),
                "Duration of the weight update of one generator; all are updated at the same time. Weights come while it writes "
                "completions; only while it swaps them it does not.",
            ),
            lines(
                "Weights sent",
                "Bps",
                by_ref((rate("grpo_weight_sync_bytes_total"), "to all generators")),
                "Bytes of weights and of their changes per second, over all generators. Healthy after the first update: a few hundredths of "
                "the model for each, with bf16 and learning rates near 1e-6.",
            ),
        ],
    ]


def checkpoints() -> list[Line]:
    return [
        [
            lines(
                "Steps",
                "none",
                by_ref(
                    (value("grpo_step"), "done"),
                    (value("grpo_checkpoint_step"), "safe in a checkpoint"),
                    (value("grpo_max_steps"), "all"),
                ),
                "The distance between the first two is what a lost learner costs. A fall of `done` is a restart.",
            ),
            lines(
                "Room on the volume",
                "bytes",
                by_ref((value("grpo_volume_available_bytes"), "free"), (value("grpo_volume_size_bytes"), "size")),
                "Of the file system that checkpoints lie on, when one was saved last. Healthy: room for a few more checkpoints.",
            ),
            lines("Epoch", "short", by_ref((value("grpo_epoch"), "epoch")), "Passes over the data set."),
            lines(
                "Newest checkpoint",
                "dateTimeAsIso",
                by_ref((f"{value('grpo_checkpoint_timestamp_seconds')} * 1000", "written at")),
                "When the newest checkpoint was written. Healthy: it climbs in even steps.",
            ),
        ],
        [
            lines(
                "Checkpoints lost",
                "short",
                by_ref((increase("grpo_checkpoint_failures_total", "reason"), "{{reason}}")),
                "Not written, or damaged when an attempt was to go on from them; the run goes on. Healthy: none. The condition "
                "CheckpointHealthy has the words.",
            ),
            lines(
                "Pushes to the hub",
                "short",
                by_ref((increase("grpo_hub_pushes_total", "result"), "{{result}}")),
                "Of a run that pushes. Healthy: none failed, for which the learner's log has the reason; skipped ones made "
                "room for newer checkpoints.",
            ),
            lines(
                "Completions not kept",
                "short",
                by_ref((increase("grpo_completions_not_kept_total"), "completions")),
                "Learnt from, and not on the volume for people to read: it refused them, or takes them too slowly. Healthy: none; the "
                "learner's log has the reason.",
            ),
        ],
    ]
