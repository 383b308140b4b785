"""What a recipe meant to the TRL of then: left-out keys whose defaults have moved since, and batches that counted prompts.

Read from the tags v0.14.0, v0.16.0 and v0.18.0 of TRL, and from Open-R1's script of each time. Left aside are defaults that change memory, speed or logging only
(`gradient_checkpointing`, `logging_steps`) and those of keys that a run's owner does not set (`use_vllm`).
"""

from collections.abc import Mapping
from typing import Any, Final, Literal

from grpo_contract.recipe.old_keys import Note, Recipe

Era = Literal["trl-0.14", "trl-0.16", "trl-0.18", "current"]

PROMPTS_014: Final = {"per_device_train_batch_size": 1, "per_device_eval_batch_size": 8}
"""Keys that counted prompts in TRL 0.14, and how many when they were left out."""
_NUM_GENERATIONS: Final = 8
"""TRL's default, then and today."""

# In the order trl-0.14, trl-0.16, trl-0.18, today. None: no such key, or none set.
ERAS: Final[tuple[Era, ...]] = ("trl-0.14", "trl-0.16", "trl-0.18", "current")
MOVED_DEFAULTS: Final[dict[str, tuple[Any, Any, Any, Any]]] = {
    "beta": (0.04, 0.04, 0.04, 0.0),
    # 0.14 took the mean of each completion's mean, 0.16 that of all tokens of a batch; both had no name for it.
    "loss_type": ("grpo", "bnpo", "bnpo", "dapo"),
    "temperature": (0.9, 0.9, 1.0, 1.0),
    # 0.14 left it to vLLM, which considers all tokens; 0 says so today.
    "top_k": (0, 50, 0, 0),
    "max_completion_length": (256, 256, 256, 512),
    "max_prompt_length": (512, 512, 512, None),
    # transformers' False; TRL turns it on since.
    "bf16": (False, False, False, True),
    "use_bias_correction_kl": (False, False, False, True),
    "vllm_importance_sampling_correction": (False, False, False, True),
    "gradient_accumulation_steps": (8, 1, 1, 1),
}
LOGGING_STEPS: Final = 1
"""A run's, where its recipe is silent: its status and metrics are what TRL logs, which would log every tenth step only."""
OPEN_R1_REWARDS: Final[dict[Era, tuple[str, ...]]] = {
    "trl-0.14": ("accuracy", "format"),
    "trl-0.16": ("accuracy", "format", "tag_count"),
    "trl-0.18": ("accuracy", "format", "tag_count"),
}
"""Its script's default of reward_funcs. TRL never had one."""
ERAS_OF_PROBLEM: Final[tuple[Era, ...]] = ("trl-0.14", "trl-0.16")
"""In which Open-R1's script read the column `problem`, for all of the first and some days of the second."""
_READ_PROBLEM: Final = (
    "Left out: the column prompt is read, as Open-R1's script does since 28 March 2025; before, it read problem. Set it to the "
    "column that holds the prompts."
)


def with_defaults(recipe: Mapping[str, Any], era: Era) -> tuple[Recipe, list[Note]]:
    """The recipe, in today's keys, with what its left-out keys meant then; a note for each that means another today.

    A key that is null is set: it takes TRL's null, and only silence takes a default.
    """
    if era == "current":
        return dict(recipe), []
    place, then = ERAS.index(era), era.replace("trl-", "TRL ")
    filled = {
        key: values[place]
        for key, values in MOVED_DEFAULTS.items()
        if key not in recipe and values[place] != values[-1]
    }
    notes = [
        Note(key, f"Left out: {_text(value)} as in {then}; today it would be {_text(MOVED_DEFAULTS[key][-1])}.")
        for key, value in filled.items()
    ]
    notes += _prompt_column(recipe) if era in ERAS_OF_PROBLEM else []
    for more, more_notes in (_rewards(recipe, era), _batches_of_014(recipe) if era == "trl-0.14" else ({}, [])):
        filled |= more
        notes += more_notes
    return dict(recipe) | filled, notes


def _rewards(recipe: Mapping[str, Any], era: Era) -> tuple[Recipe, list[Note]]:
    if recipe.get("reward_funcs") is not None:
        return {}, []
    action = f"Left out: {_and([*OPEN_R1_REWARDS[era]])}, as in Open-R1 at the time of {era.replace('trl-', 'TRL ')}."
    return {"reward_funcs": [*OPEN_R1_REWARDS[era]]}, [Note("reward_funcs", action)]


def _prompt_column(recipe: Mapping[str, Any]) -> list[Note]:
    """A run without this column fails; which columns there are is known only to those who read the data set."""
    if recipe.get("dataset_name") is None or recipe.get("dataset_prompt_column") is not None:
        return []
    return [Note("dataset_prompt_column", _READ_PROBLEM)]


def _batches_of_014(recipe: Mapping[str, Any]) -> tuple[Recipe, list[Note]]:
    """TRL 0.14 counted prompts per device, and generated num_generations completions for each."""
    group = recipe.get("num_generations") or _NUM_GENERATIONS
    batches, notes = {}, []
    for key, left_out in PROMPTS_014.items():
        is_set = recipe.get(key) is not None
        prompts = recipe[key] if is_set else left_out
        batches[key] = prompts * group
        said = "Counted prompts in TRL 0.14, and counts completions today" if is_set else "Left out, as in TRL 0.14"
        notes.append(Note(key, f"{said}: {prompts * group}, {group} for each of {prompts}."))
    return batches, notes


def moved_defaults(recipe: Mapping[str, Any]) -> list[Note]:
    """Left-out keys that mean something else today than they did in an era, for who wonders about an old recipe."""
    moved = [
        Note(key, f"Left out: {_text(values[-1])} today; {_history(values)}. spec.recipeDefaults brings it back.")
        for key, values in MOVED_DEFAULTS.items()
        if key not in recipe
    ]
    return [*moved, *_prompt_column(recipe)]


def _history(values: tuple[Any, ...]) -> str:
    """`0.9 in TRL 0.14 and 0.16`, for each value that is not today's."""
    eras: dict[str, list[str]] = {}
    for era, value in zip(ERAS, values[:-1], strict=False):
        if value != values[-1]:
            eras.setdefault(_text(value), []).append(era.removeprefix("trl-"))
    return ", ".join(f"{value} in TRL {_and(names)}" for value, names in eras.items())


def _and(names: list[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _text(value: Any) -> str:
    """As YAML writes it."""
    return {"True": "true", "False": "false", "None": "no limit"}.get(str(value), str(value))
