"""Rules about the recipe, in CEL: what TRL would refuse anyway, minutes later and in a pod. Data only."""

from collections.abc import Mapping
from typing import Any, Final, Literal

from grpo_contract.recipe.defaults import ERAS, MOVED_DEFAULTS, OPEN_R1_REWARDS, PROMPTS_014
from grpo_contract.rewards import BUILT_IN_REWARDS, OTHER_REWARDS
from grpo_operator.api.cel import Path, Rule, present, value_of
from grpo_operator.api.comparison_rules import COMPARISON_RULES, saving_rule
from grpo_operator.api.data_rules import DATA_RULES, RECIPE, eval_strategy, evaluates, place_rule
from grpo_operator.api.reward_rules import may_hold_secret

SPEC: Final[Path] = ("spec",)


def recipe_rules(trl_defaults: Mapping[str, Any]) -> list[Rule]:
    """`trl_defaults`: what TRL, or Open-R1, does where the recipe is silent."""
    return [
        *_RECIPE_RULES,
        _REWARDS_RULE,
        *DATA_RULES,
        *COMPARISON_RULES,
        *_INTERVAL_RULES,
        saving_rule(trl_defaults),
        _overlong_rule(trl_defaults),
        *_batch_rules(trl_defaults),
        _STALENESS_RULE,
        _SAMPLING_RULE,
    ]


def _missing(key: str, remedy: str) -> Rule:
    rule = f"{present(key)} && self.{key}.size() > 0"
    return Rule(RECIPE, rule, f"spec.recipe.{key} is missing or empty; {remedy}.")


_REWARDS_LISTED_TWICE: Final = "self.reward_funcs.filter(x, !self.reward_funcs.exists_one(y, y == x))"
_LISTED_TWICE: Final = f"{_REWARDS_LISTED_TWICE}.map(x, {may_hold_secret('x')} ? '...' : x)[0]"

_RECIPE_RULES: Final = (
    _missing(
        "model_name_or_path",
        "set it to a model of the hub, as in Qwen/Qwen2.5-1.5B-Instruct, or to a folder below /volume",
    ),
    place_rule(
        RECIPE,
        "model_name_or_path",
        "set it to a folder below /volume, the run's volume, or to a model of the hub, as in Qwen/Qwen2.5-1.5B-Instruct",
    ),
    Rule(
        RECIPE,
        f"!{present('reward_funcs')} || {_REWARDS_LISTED_TWICE}.size() == 0",
        f"spec.recipe.reward_funcs holds '{{{_LISTED_TWICE}}}' more than once; list it once and give its weight in "
        "reward_weights.",
        ".reward_funcs",
    ),
    Rule(
        RECIPE,
        f"!{present('reward_weights')} || !{present('reward_funcs')} || "
        "self.reward_weights.size() == self.reward_funcs.size()",
        "spec.recipe.reward_weights has {self.reward_weights.size()} entries and spec.recipe.reward_funcs has "
        "{self.reward_funcs.size()}; give one weight per reward function, or none at all.",
        ".reward_weights",
    ),
    Rule(
        RECIPE,
        f"!{present('num_generations')} || self.num_generations >= 2",
        "spec.recipe.num_generations is {self.num_generations}, but an advantage compares completions of one prompt; "
        "set it to 2 or more.",
        ".num_generations",
    ),
    # transformers takes 0 at its word, and every negative number for -1.
    Rule(
        RECIPE,
        f"!{present('max_steps')} || self.max_steps == -1 || self.max_steps >= 1",
        "spec.recipe.max_steps is {self.max_steps}, which is no number of steps; set it to 1 or more, or to -1 to "
        "train for num_train_epochs.",
        ".max_steps",
    ),
    Rule(
        RECIPE,
        f"!{present('num_train_epochs')} || self.num_train_epochs > 0.0 || {value_of('max_steps', '-1')} >= 1",
        "spec.recipe.num_train_epochs is {self.num_train_epochs}, which is no number of epochs; set it to more than 0, or "
        "max_steps to how many steps to make.",
        ".num_train_epochs",
    ),
    Rule(
        RECIPE,
        f"!{present('generation_batch_size')} || !{present('steps_per_generation')}",
        "spec.recipe.generation_batch_size is {self.generation_batch_size} and spec.recipe.steps_per_generation is "
        "{self.steps_per_generation}, but each follows from the other; keep one of them.",
        ".steps_per_generation",
    ),
    Rule(
        RECIPE,
        f"!{value_of('auto_find_batch_size', 'false')}",
        "spec.recipe.auto_find_batch_size is true, but a smaller batch would break up the groups of completions; "
        "leave it out and lower per_device_train_batch_size.",
        ".auto_find_batch_size",
    ),
)


def _interval_rule(what: str, strategy: str) -> Rule:
    """transformers takes a number below 1 for a share of the run's steps, where `strategy` counts steps."""
    key = f"{what}_steps"
    return Rule(
        RECIPE,
        f"!{present(key)} || self.{key} <= 1.0 || {strategy} != 'steps' || self.{key} == double(int(self.{key}))",
        f"spec.recipe.{key} is {{self.{key}}}, but above 1 it is a number of steps; round it.",
        f".{key}",
    )


_INTERVAL_RULES: Final = (
    _interval_rule("eval", eval_strategy()),
    _interval_rule("logging", value_of("logging_strategy", "'steps'")),
    _interval_rule("save", value_of("save_strategy", "'steps'")),
)

_REWARDS_RULE: Final = Rule(
    SPEC,
    f"{present('reward_funcs', 'self.recipe')} ? self.recipe.reward_funcs.size() > 0 : "
    f"self.recipeDefaults in {list(OPEN_R1_REWARDS)}",
    "spec.recipe.reward_funcs is missing or empty; list at least one reward function: "
    f"{', '.join(BUILT_IN_REWARDS)}, {OTHER_REWARDS} (spec.recipeDefaults of a version of TRL gives Open-R1's of then).",
    ".recipe.reward_funcs",
)

_CORRECTION: Final = "vllm_importance_sampling_correction"
_CORRECTING: Final = [era for era, is_on in zip(ERAS, MOVED_DEFAULTS[_CORRECTION], strict=True) if is_on]

_STALENESS_RULE: Final = Rule(
    SPEC,
    f"self.generators.maxStaleness == 0 || {value_of(_CORRECTION, f'self.recipeDefaults in {_CORRECTING}', 'self.recipe')}",
    "spec.generators.maxStaleness is {self.generators.maxStaleness}, but "
    f"{{{present(_CORRECTION, 'self.recipe')} ? '' : 'by spec.recipeDefaults '}}spec.recipe.{_CORRECTION} is false, and nothing "
    "would account for the older weights that wrote the completions; set it to true, or maxStaleness to 0.",
    ".generators.maxStaleness",
)

_SAMPLING_RULE: Final = Rule(
    SPEC,
    f"!self.sampling.dynamic || !{value_of('dataset_streaming', 'false', 'self.recipe')}",
    "spec.sampling.dynamic is true, but spec.recipe.dataset_streaming is true as well, and of a stream there are no other "
    "prompts to take; leave one of them out.",
    ".sampling.dynamic",
)


def _overlong_rule(defaults: Mapping[str, Any]) -> Rule:
    cache, longest = (value_of(key, str(defaults[key])) for key in ("soft_punish_cache", "max_completion_len"))
    used = f"{present('reward_funcs')} && 'soft_overlong_punishment' in self.reward_funcs"
    return Rule(
        RECIPE,
        f"!({used}) || {cache} <= {longest}",
        f"spec.recipe.soft_punish_cache is {{{cache}}}, which is more than spec.recipe.max_completion_len "
        f"{{{longest}}}; lower it or raise max_completion_len.",
        ".soft_punish_cache",
    )


def _by_era(of_014: Any, since: Any) -> str:
    return f"(self.recipeDefaults == 'trl-0.14' ? {of_014} : {since})"


def _completions_per_device(of: Literal["train", "eval"], group: str, trl_defaults: Mapping[str, Any]) -> str:
    """TRL 0.14 counted prompts."""
    key, old_key = f"per_device_{of}_batch_size", f"per_gpu_{of}_batch_size"
    left_out = _by_era(PROMPTS_014[key], trl_defaults[key])
    counted = value_of(key, value_of(old_key, left_out, "self.recipe"), "self.recipe")
    return f"({counted} * {_by_era(group, 1)})"


def _batch_rules(trl_defaults: Mapping[str, Any]) -> list[Rule]:
    """GRPOConfig.__post_init__: the completions of a generation must make whole groups and whole steps."""

    def of_recipe(key: str, default: str | None = None) -> str:
        return value_of(key, default or str(trl_defaults[key]), "self.recipe")

    one_per_device = "(self.learners.gpus > 0 ? self.learners.gpus : 1)"
    processes = f"(has(self.learners.processes) ? self.learners.processes : {one_per_device})"
    world = f"(self.learners.replicas * {processes})"
    group = of_recipe("num_generations")
    per_device = _completions_per_device("train", group, trl_defaults)
    per_step = f"({world} * {per_device})"
    steps_left_out = _by_era(
        MOVED_DEFAULTS["gradient_accumulation_steps"][0], trl_defaults["gradient_accumulation_steps"]
    )
    steps = of_recipe("steps_per_generation", of_recipe("gradient_accumulation_steps", steps_left_out))
    given = present("generation_batch_size", "self.recipe")
    # Other rules refuse what is not, and dividing by zero would hide their sentences.
    divisible = f"{group} >= 2 && {per_step} >= 1"
    return [
        Rule(
            SPEC,
            f"{given} || !({divisible}) || ({per_step} * {steps}) % {group} == 0",
            f"spec.recipe.num_generations is {{{group}}}, which does not divide the {{{per_step} * {steps}}} "
            f"completions of a generation: {{{world}}} learner processes x per_device_train_batch_size "
            f"{{{per_device}}} x {{{present('steps_per_generation', 'self.recipe')} ? 'steps_per_generation' : "
            f"'gradient_accumulation_steps'}} {{{steps}}}; change one of them.",
            ".recipe.num_generations",
        ),
        Rule(
            SPEC,
            f"!{given} || !({divisible}) || self.recipe.generation_batch_size % {group} == 0",
            "spec.recipe.generation_batch_size is {self.recipe.generation_batch_size}, which "
            f"spec.recipe.num_generations {{{group}}} does not divide; set it to a multiple.",
            ".recipe.generation_batch_size",
        ),
        Rule(
            SPEC,
            f"!{given} || !({divisible}) || self.recipe.generation_batch_size % {per_step} == 0",
            "spec.recipe.generation_batch_size is {self.recipe.generation_batch_size}, which is no multiple of "
            f"{{{per_step}}}, the {{{world}}} learner processes x per_device_train_batch_size {{{per_device}}}; "
            "change one of them.",
            ".recipe.generation_batch_size",
        ),
        _evaluation_rule(world, group, trl_defaults),
    ]


def _evaluation_rule(world: str, group: str, trl_defaults: Mapping[str, Any]) -> Rule:
    """As TRL's for eval_strategy, which do_eval and eval_on_start need as well."""
    per_device = _completions_per_device("eval", group, trl_defaults)
    group = value_of("num_generations_eval", group, "self.recipe")
    return Rule(
        SPEC,
        f"!{evaluates('self.recipe')} || {group} < 1 || ({world} * {per_device}) % {group} == 0",
        f"spec.recipe.num_generations_eval is {{{group}}} (num_generations where it is left out), which does not divide the "
        f"{{{world} * {per_device}}} completions of an evaluation batch: {{{world}}} learner processes x "
        f"per_device_eval_batch_size {{{per_device}}}; change one of them.",
        ".recipe.per_device_eval_batch_size",
    )
