"""`language_consistency`: the share of a completion's words that are in the target language.

DeepSeek-R1 (arXiv:2501.12948), section 2.3.2: "the proportion of target language words". The paper says neither what a
word is nor how its language is found. Here a word belongs to the languages of its script (Unicode), so that what the
reward is for, one script in the middle of another, is counted exactly, and what a model of languages would have to guess
is not guessed: French for English costs nothing.
"""

from collections.abc import Sequence
from typing import Final

import regex

from grpo_trainer.rewards.arguments import RewardArguments
from grpo_trainer.rewards.completion import Completion, text_of
from grpo_trainer.rewards.registry import RewardFunction

SCRIPTS: Final = {
    "ar": r"\p{Arabic}",
    "el": r"\p{Greek}",
    "en": r"\p{Latin}",
    "he": r"\p{Hebrew}",
    "hi": r"\p{Devanagari}",
    "ja": r"\p{Han}\p{Hiragana}\p{Katakana}",
    "ko": r"\p{Hangul}",
    "ru": r"\p{Cyrillic}",
    "th": r"\p{Thai}",
    "zh": r"\p{Han}",
}
"""{target language: a letter of its scripts}."""

# Scripts without spaces between words: each letter counts as a word, as in the mixed error rate of speech recognition.
UNSPACED: Final = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"

# A single Latin or Greek letter is a variable in any language. Letters of no script (mathematical italics) are no words.
WORD: Final = regex.compile(
    rf"""(?xV1)
    [\p{{L}}&&[{UNSPACED}]]
    | (?: [\p{{L}}&&[\p{{Latin}}\p{{Greek}}]] \p{{M}}* ){{2,}}
    | (?: [\p{{L}}--[\p{{Common}}\p{{Inherited}}\p{{Latin}}\p{{Greek}}{UNSPACED}]] \p{{M}}* )+
    """
)

# Code and mathematics are written in Latin and Greek letters whatever the language, as are tags and addresses.
NOTATION: Final = regex.compile(
    r"""(?xsV1)
    ```.*?(?:```|\Z) | `[^`\n]*`
    | \$\$[^$]*\$\$ | \$[^$\n]*\$ | \\\((?:(?!\\[()]).)*\\\) | \\\[(?:(?!\\[\[\]]).)*\\\]
    | \\(?:begin|end)\{\w*\*?\} | \\[A-Za-z]+
    | </?\w+> | https?://\S+
    """
)
NOTATION_LETTERS: Final = regex.compile(r"[\p{Latin}\p{Greek}]")


def language_consistency_reward_for(arguments: RewardArguments) -> RewardFunction:
    of_target = regex.compile(f"[{SCRIPTS[arguments.target_language]}]")

    def language_consistency_reward(completions: Sequence[Completion], **_: object) -> list[float]:
        """0 to 1 per completion; 0 without a word."""
        return [share(words_of(text_of(completion)), of_target) for completion in completions]

    return language_consistency_reward


def words_of(text: str) -> list[str]:
    found: list[str] = WORD.findall(NOTATION.sub(without_notation_letters, text))
    return found


def without_notation_letters(notation: regex.Match[str]) -> str:
    """Words of another script stay: they are text, and formulas would be a place to hide them."""
    return str(NOTATION_LETTERS.sub(" ", notation[0]))


def share(words: Sequence[str], of_target: regex.Pattern[str]) -> float:
    return sum(1 for word in words if of_target.match(word)) / len(words) if words else 0.0
