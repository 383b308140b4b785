"""From `spec.recipe` to TRL's own configuration classes, with the values that a recipe leaves to the operator.

The keys are TRL's and Open-R1's, unchanged; values are converted as TRL's command line would. What TRL refuses becomes
one sentence for the user. The module decides nothing that a recipe can say.
"""

import re
from dataclasses import dataclass, field, fields
from typing import Any, Final, NoReturn

from transformers.integrations import get_available_reporting_integrations

from grpo_contract.failure import PodReason, UserError
from grpo_contract.recipe.comparison import BEST, FOLLOWING_SCHEDULES, LOADS_BEST, comparison_mistake
from grpo_contract.recipe.defaults import LOGGING_STEPS
from grpo_contract.recipe.evaluation import evaluates
from grpo_contract.recipe.figures import unknown_figure
from grpo_contract.recipe.owned_keys import owned_keys
from grpo_contract.recipe.unknown_keys import unknown_key
from grpo_contract.rewards import REWARD_BOUNDS
from grpo_trainer.light_trl import GRPOConfig, ModelConfig, ScriptArguments, TrlParser
from grpo_trainer.packages import without_missing_packages
from grpo_trainer.rewards.arguments import RewardArguments
from grpo_trainer.trackers.settings import other_trackers


@dataclass
class OpenR1Arguments(RewardArguments, ScriptArguments):  # type: ignore[misc]
    """TRL's script arguments with the keys that Open-R1 adds to a GRPO recipe, and one that TRL has dropped.

    The recipe's schema is made of the texts and defaults here.
    """

    reward_funcs: list[str] = field(
        default_factory=list,
        metadata={
            "help": "Reward functions, in order: names of built-in ones, `package.module:function` of one in the learners' image or "
            "in `spec.rewards.from`, or the http(s) URL of a remote reward. Required, but for `spec.recipeDefaults` of an "
            "older TRL, which gives Open-R1's of then."
        },
    )
    dataset_mixture: dict[str, Any] | None = field(
        default=None,
        metadata={
            "help": "Several data sets instead of the one of `dataset_name`: rows of each are drawn, put together and "
            "shuffled. `dataset_config` is without effect then."
        },
    )
    dataset_prompt_column: str = field(
        default="prompt", metadata={"help": "Column of the data set that holds the prompts."}
    )
    system_prompt: str | None = field(
        default=None, metadata={"help": "System message that is put before every prompt."}
    )
    chat_template: str | None = field(
        default=None,
        metadata={"help": "Chat template (Jinja) to use instead of the one that the model brings along."},
    )
    callbacks: list[str] = field(
        default_factory=list,
        metadata={
            "help": "push_to_hub_revision (Open-R1's) pushes each of the recipe's checkpoints to a branch of its own on the "
            "hub, `<hub_revision>-step-<step, nine digits>`. early_stopping (transformers') ends training when evaluations get "
            "no better by metric_for_best_model."
        },
    )
    early_stopping_patience: int = field(
        default=1,
        metadata={
            "help": "With early_stopping in `callbacks`: so many evaluations in a row that are no better than the best before "
            "them end training."
        },
    )
    early_stopping_threshold: float = field(
        default=0.0,
        metadata={
            "help": "With early_stopping in `callbacks`: by how much more than this an evaluation has to be better."
        },
    )
    benchmarks: list[str] = field(
        default_factory=list,
        metadata={
            "help": "Benchmarks of each of the recipe's checkpoints and of the trained model, started where the operator's chart "
            "has an image for them; `[all]` are those that it knows. See docs/benchmarks.md."
        },
    )
    push_to_hub_revision: bool = field(
        default=False,
        metadata={
            "help": "Whether to push the trained model to the branch hub_revision, unless that holds a model already "
            "(see overwrite_hub_revision)."
        },
    )
    overwrite_hub_revision: bool = field(
        default=False,
        metadata={"help": "Whether push_to_hub_revision may push to a branch that holds another run's model."},
    )
    wandb_entity: str | None = field(
        default=None, metadata={"help": "The W&B user or team under which the run is tracked (WANDB_ENTITY)."}
    )
    wandb_project: str | None = field(
        default=None, metadata={"help": "The W&B project in which the run is tracked (WANDB_PROJECT)."}
    )
    wandb_run_group: str | None = field(
        default=None, metadata={"help": "The W&B group to which the run belongs (WANDB_RUN_GROUP)."}
    )
    max_prompt_length: int | None = field(default=None, metadata={"help": "Last tokens of a prompt that are taken."})


@dataclass(frozen=True)
class Recipe:
    """A recipe in TRL's terms."""

    training: GRPOConfig
    model: ModelConfig
    script: OpenR1Arguments
    evaluates: str | None = None
    """The key that asks for evaluations; None: there are none."""


CLASSES: Final = (OpenR1Arguments, GRPOConfig, ModelConfig)


class RecipeParser(TrlParser):  # type: ignore[misc]
    """TrlParser whose complaints are a user's mistakes instead of the end of the process."""

    def __init__(self) -> None:
        super().__init__(CLASSES, add_help=False)

    def error(self, message: str) -> NoReturn:
        argument = re.fullmatch(r"argument --(\w+)\S*: (.*)", message, re.DOTALL)
        key, complaint = argument.groups() if argument else ("", message)
        raise invalid(complaint, key)


def parse_recipe(recipe: dict[str, Any], owned: dict[str, Any]) -> Recipe:
    """`owned` are the operator's values; they win. GRPOConfig needs the process group (see `device.process_group`)."""
    check_owned(recipe)
    recipe = without_missing_packages(recipe)
    recipe |= {"report_to": other_trackers(recipe, get_available_reporting_integrations())}
    parser = RecipeParser()
    check_known(recipe)
    check_choices(recipe)
    if sentence := comparison_mistake(recipe):
        raise UserError(PodReason.INVALID_RECIPE, sentence)
    parser.set_defaults_with_config(**defaults(recipe) | recipe | owned)
    try:
        script, training, model = parser.parse_args_into_dataclasses(args=[], look_for_args_file=False)
    except (ValueError, TypeError) as error:
        raise invalid(str(error)) from error
    check_reporting(training)
    check_bounds(script)
    if sentence := unknown_figure(vars(script) | vars(training)):
        raise UserError(PodReason.INVALID_RECIPE, sentence)
    training.lr_scheduler_kwargs = schedule_arguments(training)
    # 0.0 is 0 in JSON, and PyTorch takes two floats or nothing.
    training.adam_beta1, training.adam_beta2 = float(training.adam_beta1), float(training.adam_beta2)
    return Recipe(training, model, script, evaluates(recipe))


def defaults(recipe: dict[str, Any]) -> dict[str, Any]:
    """Where a recipe is silent and TRL's default would not suit a run in a cluster.

    TRL would keep a checkpoint every 500 steps for ever; spec.checkpoint has those that a run needs.
    """
    silent_on_saving = not recipe.keys() & {"save_strategy", "save_steps"}
    save_strategy = BEST if recipe.get(LOADS_BEST) else "no"
    return {"logging_steps": LOGGING_STEPS} | ({"save_strategy": save_strategy} if silent_on_saving else {})


def schedule_arguments(training: GRPOConfig) -> dict[str, Any] | None:
    """lr_scheduler_kwargs. A schedule that follows evaluations takes lower for better unless it is told."""
    own: dict[str, Any] | None = training.lr_scheduler_kwargs
    if training.lr_scheduler_type not in FOLLOWING_SCHEDULES:
        return own
    return {"mode": "max" if training.greater_is_better else "min"} | (own or {})


def check_owned(recipe: dict[str, Any]) -> None:
    if sentences := owned_keys(recipe):
        raise UserError(PodReason.INVALID_RECIPE, " ".join(sentences))


def check_known(recipe: dict[str, Any]) -> None:
    known = {item.name for cls in CLASSES for item in fields(cls)}
    for key in sorted(recipe.keys() - known):
        raise UserError(PodReason.INVALID_RECIPE, unknown_key("spec.recipe", key, known))


def check_choices(recipe: dict[str, Any]) -> None:
    """argparse checks the choices of arguments, but not of defaults."""
    for item in (item for cls in CLASSES for item in fields(cls) if item.name in recipe):
        choices, value = item.metadata.get("choices"), recipe[item.name]
        if choices and value is not None and value not in choices:
            raise invalid(f"{value!r} is not one of {', '.join(choices)}", item.name)


def check_bounds(script: OpenR1Arguments) -> None:
    for key, bounds in REWARD_BOUNDS.items():
        value = getattr(script, key)
        if value < bounds.get("minimum", value):
            raise invalid(f"{value} is too small; set it to {bounds['minimum']} or more", key)
        if value > bounds.get("maximum", value):
            raise invalid(f"{value} is too large; set it to {bounds['maximum']} or less", key)


def check_reporting(training: GRPOConfig) -> None:
    available = get_available_reporting_integrations()
    for name in training.report_to:
        if name not in available:
            raise UserError(
                PodReason.INVALID_RECIPE,
                f"spec.recipe.report_to: {name!r} is not installed in the learners' image; "
                f"remove it (metrics are in Prometheus anyway) or use an image that holds it.",
            )


def invalid(complaint: str, key: str = "") -> UserError:
    """TRL's words as one sentence; it names key, value and remedy itself."""
    sentence = "; ".join(re.split(r"(?<=[a-z)'`\]])\.\s+", " ".join(complaint.split()).rstrip(".")))
    return UserError(PodReason.INVALID_RECIPE, f"spec.recipe{'.' + key if key else ''}: {sentence}.")


def model_arguments(recipe: Recipe, dtype: str | None) -> dict[str, Any]:
    """Keyword arguments of from_pretrained, as TRL's own GRPO script derives them. `dtype` wins over the recipe's."""
    return {
        "revision": recipe.model.model_revision,
        "trust_remote_code": recipe.training.trust_remote_code,
        "attn_implementation": recipe.model.attn_implementation,
        "dtype": dtype or recipe.model.dtype,
        **(recipe.training.model_init_kwargs or {}),
    }
