"""What a message repeats of an entry of reward_funcs that is refused."""

import pytest

from grpo_contract.rewards import without_secret


@pytest.mark.parametrize(
    ("reward", "told"),
    [
        ("acuracy", "acuracy"),
        ("https://judge/@me", "https://judge/@me"),
        ("https://me:key@judge", "https:..."),
        ("ftp://me:key@judge", "ftp:..."),
        ("http:/me:key@judge", "http:..."),
        ("https://judge/score?key=abc", "https:..."),
        ("key:@judge", "..."),
        ("me:key@judge", "..."),
    ],
)
def test_what_is_told(reward: str, told: str) -> None:
    assert without_secret(reward) == told
