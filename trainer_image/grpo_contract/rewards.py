"""Names of the built-in reward functions: the API server refuses a misspelt one, the learner finds its code."""

from typing import Final

BUILT_IN_REWARDS: Final = ("accuracy", "format", "tag_count")

REWARD_IMPORT: Final = r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*$"
"""`package.module:function` of somebody else's."""
