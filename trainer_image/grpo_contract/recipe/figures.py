"""The figures of an evaluation: those that TRL measures, and transformers' loss. Without `eval_`, as a recipe may name them.

They are known before a run where nobody's own reward function adds others to them, by TRL's log_metric.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from grpo_contract.recipe.comparison import COMPARING, METRIC, OF_A_CLOCK, PREFIX, says_nothing, what_compares
from grpo_contract.recipe.unknown_keys import remedy_for
from grpo_contract.rewards import is_own_code, label_of

_ALWAYS: Final = (
    "loss",
    "num_tokens",
    "entropy",
    "reward",
    "reward_std",
    "frac_reward_zero_std",
    "completions/clipped_ratio",
    *(
        f"completions/{which}_{length}"
        for which in ("mean", "min", "max")
        for length in ("length", "terminated_length")
    ),
    "sampling/sampling_logp_difference/mean",
    "sampling/sampling_logp_difference/max",
)
_OF_SOME_MODELS: Final = ("aux_loss",)
"""Of mixtures of experts: which model has experts is not known before it is loaded."""
_OF_CORRECTION: Final = tuple(f"sampling/importance_sampling_ratio/{which}" for which in ("min", "mean", "max"))
_OF_CLIPPING: Final = tuple(
    f"clip_ratio/{which}" for which in ("low_mean", "high_mean", "region_mean", "low_min", "high_max")
)
_OF_LOSSES: Final[Mapping[str, tuple[str, ...]]] = {
    **dict.fromkeys(("grpo", "bnpo", "dr_grpo", "dapo", "luspo"), _OF_CLIPPING),
    "cispo": ("cispo_clip_ratio",),
    "vespo": ("vespo/phi_seq_mean",),
}
"""By loss_type."""
_MEASURING: Final = (
    "reward_funcs",
    "loss_type",
    "beta",
    "vllm_importance_sampling_correction",
    "entropy_coef",
    "use_adaptive_entropy",
)
KEYS: Final = (*COMPARING, METRIC, *_MEASURING)
"""Of a recipe, which decide whether a figure is unknown."""


def figures_of(values: Mapping[str, Any]) -> frozenset[str] | None:
    """None: a reward function may add its own. `values`: the recipe's, and TRL's where it is silent."""
    rewards = values["reward_funcs"]
    if any(is_own_code(reward) for reward in rewards):
        return None
    of_rewards = [f"rewards/{label_of(reward)}/{which}" for reward in rewards for which in ("mean", "std")]
    return frozenset([*_ALWAYS, *_OF_SOME_MODELS, *of_rewards, *_of_settings(values)])


def _of_settings(values: Mapping[str, Any]) -> list[str]:
    figures = [*_OF_LOSSES.get(values["loss_type"], ())]
    if values["beta"] != 0:
        figures.append("kl")
    if values["vllm_importance_sampling_correction"]:
        figures += _OF_CORRECTION
    if values["entropy_coef"] != 0 or values["use_adaptive_entropy"]:
        figures.append("policy_loss")
    return figures


def unknown_figure(values: Mapping[str, Any]) -> str | None:
    """Why evaluations cannot be compared by metric_for_best_model, where that is certain beforehand. `values`: as above.
    What else they need to be compared, `comparison_mistake` says."""
    metric: str | None = values.get(METRIC)
    if what_compares(values) is None or not metric:
        return None
    figure = metric.removeprefix(PREFIX)
    if figure in OF_A_CLOCK:
        return says_nothing(metric)
    figures = figures_of(values)
    return None if figures is None or figure in figures else no_figure(metric, figures)


def no_figure(metric: str, figures: Iterable[str]) -> str:
    """One sentence. `figures`: that there are."""
    known = sorted(figure for figure in figures if figure not in OF_A_CLOCK)
    remedy = remedy_for(metric.removeprefix(PREFIX), known, f"set it to one of {', '.join(known)}.")
    return f"spec.recipe.{METRIC} is '{metric}', which is no figure of an evaluation; {remedy}"
