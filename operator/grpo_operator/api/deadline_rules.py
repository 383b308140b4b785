"""Rules about what waits for what, in CEL. Data only."""

from typing import Final

from grpo_contract.config import Deadlines
from grpo_operator.api.cel import Path, Rule
from grpo_operator.api.recipe_rules import SPEC

DEADLINES: Final[Path] = ("spec", "deadlines")

_SCORING: Final = f"(has(self.scoringSeconds) ? self.scoringSeconds : {Deadlines().scoring_s:.0f})"
_COLLECTIVE: Final = f"(has(self.collectiveSeconds) ? self.collectiveSeconds : {Deadlines().collective_s:.0f})"

DEADLINE_RULES: Final = (
    Rule(
        DEADLINES,
        f"{_SCORING} < {_COLLECTIVE}",
        f"spec.deadlines.scoringSeconds is {{{_SCORING}}} and spec.deadlines.collectiveSeconds is {{{_COLLECTIVE}}}, but learner "
        "processes that have scored wait in a collective operation for the others; set scoringSeconds lower, or "
        "collectiveSeconds higher.",
        ".scoringSeconds",
    ),
    Rule(
        SPEC,
        "!has(self.deadlines) || !has(self.deadlines.scoringSeconds) || "
        "self.rewards.timeoutSeconds <= self.deadlines.scoringSeconds",
        "spec.rewards.timeoutSeconds is {self.rewards.timeoutSeconds}, but all scoring of a step has no more than "
        "{self.deadlines.scoringSeconds} s (spec.deadlines.scoringSeconds); set it lower, or scoringSeconds higher.",
        ".rewards.timeoutSeconds",
    ),
)
