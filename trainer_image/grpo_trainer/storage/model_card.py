"""The model card beside the trained model. TRL's own knows neither paths nor the recipe, and would name a base model None."""

import json
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from grpo_contract.config import RunConfig
from grpo_contract.paths import is_path
from grpo_contract.recipe.comparison import METRIC
from grpo_contract.rewards import label_of
from grpo_trainer.evaluating.comparison import described_best
from grpo_trainer.evaluating.ended_early import ended_early
from grpo_trainer.sources import sources_of
from grpo_trainer.storage.checkpoint_files import QUANTISATION, TRAINER_STATE

LIBRARIES: Final = ("trl", "transformers", "deepspeed", "torch")

# {key of TRL's log: what people call it}
FIGURES: Final = {
    "reward": "reward",
    "kl": "KL divergence",
    "loss": "loss",
    "completions/mean_length": "completion length",
}


def card_of(folder: Path, config: RunConfig, step: int | None = None) -> str:
    """Of the model in that folder, be it the trained one or a checkpoint's: its log is beside it. `step`: that its weights
    are of, where that is not the last one."""
    state = json.loads((folder / TRAINER_STATE).read_text())
    return model_card(config.name, config.recipe, state, state["global_step"] if step is None else step)


def model_card(name: str, recipe: Mapping[str, Any], state: Mapping[str, Any], step: int) -> str:
    """Markdown with the hub's front matter. `state` is the trainer's, with TRL's log; of its steps and evaluations the
    last one of the weights is told. Remote rewards go by their labels, as in metrics: URLs are no one else's business."""
    history = [entry for entry in state["log_history"] if entry["step"] <= step]
    steps = [entry for entry in history if "reward" in entry]
    evaluations = [entry for entry in history if "eval_reward" in entry]
    recipe = {**recipe, "reward_funcs": [label_of(reward) for reward in recipe["reward_funcs"]]}
    sections = [
        front_matter(recipe),
        f"# {name}",
        f"`{recipe['model_name_or_path']}`, trained with GRPO on {', '.join(f'`{name}`' for name in data_sets(recipe))}"
        f" for the rewards {', '.join(recipe['reward_funcs'])}.",
        *describe_base(recipe),
        *describe_end(recipe, state, step),
        *([describe_step(steps[-1])] if steps else []),
        *([describe_evaluation(evaluations[-1])] if evaluations else []),
        f"## Recipe\n\n```json\n{json.dumps(recipe, indent=2, sort_keys=True)}\n```",
        f"Made with {', '.join(f'{library} {version(library)}' for library in LIBRARIES)}.",
    ]
    return "\n\n".join(sections) + "\n"


def front_matter(recipe: Mapping[str, Any]) -> str:
    """The hub takes ids of its own only: a path on a volume has no place here."""
    library, tags = ("peft", "[trl, grpo, lora]") if recipe.get("use_peft") else ("transformers", "[trl, grpo]")
    lines = [f"library_name: {library}", "pipeline_tag: text-generation", f"tags: {tags}"]
    if not is_path(recipe["model_name_or_path"]):
        lines.append(f"base_model: {recipe['model_name_or_path']}")
    if ids := [name for name in data_sets(recipe) if not is_path(name)]:
        lines.append(f"datasets: [{', '.join(ids)}]")
    return "\n".join(["---", *lines, "---"])


def data_sets(recipe: Mapping[str, Any]) -> list[str]:
    """Each once: a mixture may hold several configurations of one."""
    return list(dict.fromkeys(source.name for source in sources_of(recipe)))


def describe_base(recipe: Mapping[str, Any]) -> Iterator[str]:
    if recipe.get("load_in_4bit"):
        yield f"It is an adapter of that model in 4 bit, quantised as `{QUANTISATION}` says; on the unquantised one it gives other answers."


def describe_end(recipe: Mapping[str, Any], state: Mapping[str, Any], step: int) -> Iterator[str]:
    last, reason = state["global_step"], ended_early(state["stateful_callbacks"])
    if reason is not None:
        yield f"Training ended early, at step {last} of {state['max_steps']}: {reason}."
    if step != last:
        best = described_best(state["best_metric"], recipe[METRIC])
        yield f"Of the {last} steps made, the weights are those of step {step}, the best by its evaluation: {best}."


def describe_step(entry: Mapping[str, Any], of: str = "step") -> str:
    rewards = {
        key.removeprefix("rewards/").removesuffix("/mean"): value  # a remote reward's name has a slash itself
        for key, value in entry.items()
        if key.startswith("rewards/") and key.endswith("/mean")
    }
    figures = {told: entry.get(key) for key, told in FIGURES.items()} | rewards
    rows = [f"| {told} | {value:.4g} |" for told, value in figures.items() if value is not None]
    return "\n".join([f"After step {entry['step']}:", "", f"| | mean of the {of} |", "|---|---|", *rows])


def describe_evaluation(entry: Mapping[str, Any]) -> str:
    return describe_step({key.removeprefix("eval_"): value for key, value in entry.items()}, of="evaluation")
