"""What compares evaluations needs some, and a metric to compare them by."""

from typing import Any

import pytest

from grpo_contract.recipe.comparison import comparison_mistake, what_compares
from grpo_contract.recipe.figures import unknown_figure

EVALUATED = {"eval_strategy": "steps", "metric_for_best_model": "reward"}
STOPPED = EVALUATED | {"callbacks": ["early_stopping"]}
LOADED = EVALUATED | {"load_best_model_at_end": True}
NO_EVALUATION = "which compares evaluations, but spec.recipe.eval_strategy is 'no'; set that to steps or epoch."
NO_METRIC = (
    "which compares evaluations, but spec.recipe.metric_for_best_model does not say by what; set it, as in reward."
)

MISTAKES: list[tuple[dict[str, Any], str]] = [
    (
        {"early_stopping_patience": 3},
        "early_stopping_patience is 3, but spec.recipe.callbacks does not hold early_stopping; add it there, or leave "
        "early_stopping_patience out.",
    ),
    (
        {"early_stopping_threshold": 0.0, "callbacks": ["push_to_hub_revision"]},
        "early_stopping_threshold is 0.0, but spec.recipe.callbacks does not hold early_stopping; add it there, or leave "
        "early_stopping_threshold out.",
    ),
    (STOPPED | {"eval_strategy": "no"}, f"callbacks holds early_stopping, {NO_EVALUATION}"),
    (LOADED | {"eval_strategy": None, "do_eval": True}, f"load_best_model_at_end is true, {NO_EVALUATION}"),
    ({"save_strategy": "best"}, f"save_strategy is best, {NO_EVALUATION}"),
    (STOPPED | {"metric_for_best_model": None}, f"callbacks holds early_stopping, {NO_METRIC}"),
    ({"save_strategy": "best", "eval_strategy": "epoch"}, f"save_strategy is best, {NO_METRIC}"),
    ({"lr_scheduler_type": "reduce_lr_on_plateau"}, f"lr_scheduler_type is reduce_lr_on_plateau, {NO_EVALUATION}"),
    ({"lr_scheduler_type": "greedy", "eval_strategy": "steps"}, f"lr_scheduler_type is greedy, {NO_METRIC}"),
    (
        STOPPED | {"metric_for_best_model": "eval_runtime"},
        "metric_for_best_model is 'eval_runtime', which says nothing of a model; set it to another, as in reward.",
    ),
    (
        STOPPED | {"metric_for_best_model": "model_preparation_time"},
        "metric_for_best_model is 'model_preparation_time', which says nothing of a model; set it to another, as in reward.",
    ),
    (
        LOADED | {"save_steps": 10, "eval_strategy": "epoch"},
        "load_best_model_at_end is true, but spec.recipe.save_strategy is 'steps' and spec.recipe.eval_strategy is 'epoch'; "
        "set save_strategy to best or to that.",
    ),
    (
        LOADED | {"save_strategy": "no"},
        "load_best_model_at_end is true, but spec.recipe.save_strategy is 'no' and spec.recipe.eval_strategy is 'steps'; set "
        "save_strategy to best or to that.",
    ),
]
ACCEPTED: list[dict[str, Any]] = [
    {},
    {"callbacks": None, "early_stopping_patience": None},
    {"metric_for_best_model": "runtime"},
    STOPPED | {"early_stopping_patience": 2, "early_stopping_threshold": 0.1},
    LOADED,
    LOADED | {"save_strategy": "best", "eval_strategy": "epoch"},
    LOADED | {"save_steps": 10},
    EVALUATED | {"save_strategy": "best"},
    {"load_best_model_at_end": False, "save_strategy": "steps"},
    EVALUATED | {"lr_scheduler_type": "greedy"},
    {"lr_scheduler_type": "cosine"},
]


@pytest.mark.parametrize(("recipe", "sentence"), MISTAKES)
def test_a_mistake(recipe: dict[str, Any], sentence: str) -> None:
    assert comparison_mistake(recipe) == f"spec.recipe.{sentence}"


@pytest.mark.parametrize("recipe", ACCEPTED)
def test_what_goes_together(recipe: dict[str, Any]) -> None:
    assert comparison_mistake(recipe) is None


def test_a_metric_alone_compares_nothing() -> None:
    assert what_compares(EVALUATED) is None
    assert what_compares(LOADED) == "load_best_model_at_end is true"


TRLS: dict[str, Any] = {
    "reward_funcs": ["accuracy", "format"],
    "beta": 0.0,
    "loss_type": "dapo",
    "vllm_importance_sampling_correction": True,
    "entropy_coef": 0.0,
    "use_adaptive_entropy": False,
}
COMPARED = TRLS | LOADED
SERVICE = "https://rewards.example.com/score"


CLIPPED = "clip_ratio/high_max, clip_ratio/high_mean, clip_ratio/low_mean, clip_ratio/low_min, clip_ratio/region_mean"
LENGTHS = (
    "completions/clipped_ratio, completions/max_length, completions/max_terminated_length, completions/mean_length, "
    "completions/mean_terminated_length, completions/min_length, completions/min_terminated_length"
)
REWARDED = "frac_reward_zero_std, loss, num_tokens, reward, reward_std"
SAMPLED = (
    "sampling/importance_sampling_ratio/max, sampling/importance_sampling_ratio/mean, "
    "sampling/importance_sampling_ratio/min, sampling/sampling_logp_difference/max, sampling/sampling_logp_difference/mean"
)
BOTH = "rewards/accuracy/mean, rewards/accuracy/std, rewards/format/mean, rewards/format/std"
ANY = f"set it to one of aux_loss, {CLIPPED}, {LENGTHS}, entropy, {REWARDED}, {BOTH}, {SAMPLED}."


@pytest.mark.parametrize(
    ("recipe", "metric", "remedy"),
    [
        ({}, "rewards/acuracy/mean", "did you mean rewards/accuracy/mean?"),
        ({}, "eval_rewards/format", "did you mean rewards/format/std?"),
        (
            {"reward_funcs": [SERVICE]},
            "rewards/accuracy/mean",
            f"set it to one of aux_loss, {CLIPPED}, {LENGTHS}, entropy, {REWARDED}, rewards/rewards.example.com/score/mean, "
            f"rewards/rewards.example.com/score/std, {SAMPLED}.",
        ),
        ({"beta": 0.0}, "kl", ANY),
        (
            {"loss_type": "cispo"},
            "clip_ratio/low_mean",
            f"set it to one of aux_loss, cispo_clip_ratio, {LENGTHS}, entropy, {REWARDED}, {BOTH}, {SAMPLED}.",
        ),
        (
            {"vllm_importance_sampling_correction": False},
            "sampling/importance_sampling_ratio/max",
            "did you mean sampling/sampling_logp_difference/max?",
        ),
        ({}, "policy_loss", ANY),
    ],
)
def test_no_evaluation_has_such_a_figure(recipe: dict[str, Any], metric: str, remedy: str) -> None:
    assert unknown_figure(COMPARED | recipe | {"metric_for_best_model": metric}) == (
        f"spec.recipe.metric_for_best_model is '{metric}', which is no figure of an evaluation; {remedy}"
    )


@pytest.mark.parametrize(
    ("recipe", "metric"),
    [
        ({}, "reward"),
        ({}, "eval_rewards/accuracy/mean"),
        ({}, "loss"),
        ({}, "completions/mean_terminated_length"),
        ({"beta": 0.04}, "kl"),
        ({"loss_type": "cispo"}, "cispo_clip_ratio"),
        ({"entropy_coef": 0.01}, "policy_loss"),
        ({"use_adaptive_entropy": True}, "policy_loss"),
        ({"reward_funcs": [SERVICE]}, "rewards/rewards.example.com/score/mean"),
        ({"reward_funcs": ["accuracy", "my_rewards:length"]}, "longest"),
        ({"load_best_model_at_end": False}, "compared with nothing"),
    ],
)
def test_a_figure_that_an_evaluation_has_or_may_have(recipe: dict[str, Any], metric: str) -> None:
    assert unknown_figure(COMPARED | recipe | {"metric_for_best_model": metric}) is None
