"""Rules about reward functions and where their code comes from, in CEL. Data only."""

from typing import Final

from grpo_contract.rewards import (
    BUILT_IN_REWARDS,
    CODE_REWARDS,
    HIDDEN_ENTRY,
    MAY_HOLD_SECRET,
    MEANT_AS_URL,
    NO_CODE_REWARDS,
    NO_REWARD_URL,
    OTHER_REWARDS,
    REWARD_IMPORT,
    REWARD_URL,
)
from grpo_operator.api.cel import Path, Rule, name_rule, present

REWARDS: Final[Path] = ("spec", "recipe", "reward_funcs")
REWARD: Final[Path] = (*REWARDS, "[]")
PER_GROUP: Final[Path] = ("spec", "rewards", "perGroup")
SOURCE: Final[Path] = ("spec", "rewards", "from", "[]")


def may_hold_secret(reward: str) -> str:
    return f"{reward}.matches('{MAY_HOLD_SECRET}')"


_NO_OWN_FUNCTION: Final = (
    "which is no function of your own; name those alone, as package.module:function: built-in functions and services are "
    "called with what is there as it is."
)

# Beside what a rule at a plain value says, the API server repeats that value: secrets are looked for in the lists.
REWARD_RULES: Final = (
    Rule(
        REWARDS,
        f"self.all(x, !{may_hold_secret('x')} || x.matches(r'{REWARD_URL}'))",
        f"spec.recipe.reward_funcs holds {HIDDEN_ENTRY}, which {NO_REWARD_URL}.",
    ),
    Rule(
        REWARD,
        f"{may_hold_secret('self')} || self in {[*BUILT_IN_REWARDS, *CODE_REWARDS]} || self.matches(r'{REWARD_IMPORT}') || "
        f"self.matches(r'{MEANT_AS_URL}')",
        "spec.recipe.reward_funcs holds '{self}', which is no reward function; use "
        f"{', '.join(BUILT_IN_REWARDS)}, {OTHER_REWARDS}.",
    ),
    Rule(
        REWARD,
        f"!(self in {list(CODE_REWARDS)})",
        f"spec.recipe.reward_funcs holds '{{self}}', which {NO_CODE_REWARDS}.",
    ),
    Rule(
        REWARD,
        f"{may_hold_secret('self')} || !self.matches(r'{MEANT_AS_URL}') || self.matches(r'{REWARD_URL}')",
        f"spec.recipe.reward_funcs holds '{{self}}', which {NO_REWARD_URL}.",
    ),
    Rule(
        SOURCE,
        "has(self.configMap) || has(self.path)",
        "spec.rewards.from holds an entry with neither configMap nor path; name a ConfigMap, or a folder, .py file or wheel.",
    ),
    Rule(
        SOURCE,
        "!has(self.configMap) || !has(self.path)",
        "spec.rewards.from holds an entry with configMap '{self.configMap.name}' and path '{self.path}', but an entry is one "
        "source; make two entries of it.",
    ),
    Rule(
        SOURCE,
        "!has(self.path) || self.path.matches('^/[^:]*$')",
        "spec.rewards.from holds the path '{self.path}', which can be no entry of PYTHONPATH; begin it with '/', as in "
        "/volume/rewards, and leave out ':'.",
        ".path",
    ),
    name_rule((*SOURCE, "configMap"), "name", "ConfigMap"),
    Rule(
        PER_GROUP,
        f"self.all(x, !{may_hold_secret('x')})",
        f"spec.rewards.perGroup holds {HIDDEN_ENTRY}, {_NO_OWN_FUNCTION}",
    ),
    Rule(
        (*PER_GROUP, "[]"),
        f"{may_hold_secret('self')} || self.matches(r'{REWARD_IMPORT}')",
        f"spec.rewards.perGroup holds '{{self}}', {_NO_OWN_FUNCTION}",
    ),
)

_NOT_IN_THE_RECIPE: Final = (
    f"self.rewards.perGroup.filter(x, !{may_hold_secret('x')} && "
    f"!({present('reward_funcs', 'self.recipe')} && x in self.recipe.reward_funcs))"
)
PER_GROUP_RULE: Final = Rule(
    ("spec",),
    f"!has(self.rewards.perGroup) || {_NOT_IN_THE_RECIPE}.size() == 0",
    f"spec.rewards.perGroup holds '{{{_NOT_IN_THE_RECIPE}[0]}}', which is not in spec.recipe.reward_funcs; name it as it "
    "is named there, or leave it out.",
    ".rewards.perGroup",
)
