"""What reward functions may be called: the API server refuses a misspelt one, the learner finds its code."""

import re
from collections.abc import Mapping
from typing import Final

BUILT_IN_REWARDS: Final = (
    "accuracy",
    "format",
    "tag_count",
    "reasoning_steps",
    "cosine",
    "repetition_penalty",
    "length",
    "code_format",
    "soft_overlong_punishment",
    "language_consistency",
)

CODE_REWARDS: Final = ("code", "binary_code", "ioi_code", "cf_code")
"""Open-R1's that run the program in a completion."""

NO_CODE_REWARDS: Final = (
    "is a reward that runs code, and runs cannot do that yet; use code_format, which looks at the layout, or "
    "package.module:function of your own"
)

ERROR_WINDOW_STEPS: Final = 5
"""Over which the share of completions that lost their reward is taken."""

REWARD_IMPORT: Final = r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*$"
"""`package.module:function` of somebody else's."""

OTHER_REWARDS: Final = "package.module:function, or a URL"
"""What there is beside the built-in ones."""

MEANT_AS_URL: Final = r"^https?:/"
REWARD_URL: Final = r"^https?://[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?(/[^?#\s]*)?$"
"""Of a remote reward. It is shown in logs and as a label of metrics: so there are no users and no queries, which hold secrets."""

NO_LABEL: Final = "no URL"
"""Of one that is refused."""

NO_REWARD_URL: Final = "is no URL of a remote reward; write it as https://host/path or http://host:port/path, without user, query and fragment"

REWARD_BOUNDS: Final[Mapping[str, Mapping[str, int]]] = {
    "cosine_max_len": {"minimum": 1},
    "max_completion_len": {"minimum": 1},
    "repetition_max_penalty": {"maximum": 0},
    "repetition_n_grams": {"minimum": 1},
    "soft_punish_cache": {"minimum": 0},
}
"""What the recipe's parameters of rewards may be, in a schema's words."""


def is_own_code(reward: str) -> bool:
    """Code of the run or of its image, of which nobody knows beforehand what it does."""
    return reward not in BUILT_IN_REWARDS and not is_url(reward)


def is_url(reward: str) -> bool:
    return re.match(MEANT_AS_URL, reward) is not None


def label_of(reward: str) -> str:
    """Under which metrics and logs have an entry of `reward_funcs`: the name, or host and path. Of a URL that is refused, for
    it may hold a secret, nothing."""
    if not is_url(reward):
        return reward
    return reward.partition("://")[2] if re.match(REWARD_URL, reward) else NO_LABEL


def without_secret(reward: str) -> str:
    """As a message repeats an entry of `reward_funcs` that is refused: users and queries of URLs hold secrets."""
    if not re.search("[@?#]", reward) or re.match(REWARD_URL, reward):
        return reward
    scheme = re.match(r"\w+:", reward)
    return f"{scheme[0] if scheme else ''}..."
