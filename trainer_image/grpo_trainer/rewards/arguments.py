"""The recipe's parameters of reward functions: Open-R1's keys and defaults, and one for what Open-R1 lacks.

The recipe's schema is made of the texts, defaults and choices here. grpo_contract.rewards has the bounds.
"""

from dataclasses import dataclass, field


@dataclass
class RewardArguments:
    """A parameter is read only by the reward that its text names."""

    cosine_min_value_wrong: float = field(
        default=0.0, metadata={"help": "Reward `cosine`: the score of an empty wrong completion."}
    )
    cosine_max_value_wrong: float = field(
        default=-0.5,
        metadata={"help": "Reward `cosine`: the score of a wrong completion of cosine_max_len characters or more."},
    )
    cosine_min_value_correct: float = field(
        default=0.5,
        metadata={"help": "Reward `cosine`: the score of a right completion of cosine_max_len characters or more."},
    )
    cosine_max_value_correct: float = field(
        default=1.0,
        metadata={"help": "Reward `cosine`: what the score of a right completion approaches the shorter it is."},
    )
    cosine_max_len: int = field(
        default=1000,
        metadata={"help": "Reward `cosine`: length in characters from which on the score no longer changes."},
    )
    repetition_n_grams: int = field(
        default=3, metadata={"help": "Reward `repetition_penalty`: how many words in a row count as one phrase."}
    )
    repetition_max_penalty: float = field(
        default=-1.0,
        metadata={"help": "Reward `repetition_penalty`: the score that a completion of repeated phrases approaches."},
    )
    code_language: str = field(
        default="python",
        metadata={
            "help": "Reward `code_format`: language of the code block, for rows of the data set without a language in "
            "a column `language`.",
            "choices": ["python", "javascript", "r", "java", "bash", "cpp"],
        },
    )
    max_completion_len: int = field(
        default=16384,
        metadata={
            "help": "Reward `soft_overlong_punishment`: length in tokens above which the punishment is whole. Usually "
            "the recipe's max_completion_length."
        },
    )
    soft_punish_cache: int = field(
        default=4096,
        metadata={
            "help": "Reward `soft_overlong_punishment`: number of tokens before max_completion_len over which the "
            "punishment grows from nothing; with 0 it begins at once."
        },
    )
    target_language: str = field(
        default="en",
        metadata={
            "help": "Reward `language_consistency`: the language that completions are to be in, told by its script.",
            "choices": ["ar", "el", "en", "he", "hi", "ja", "ko", "ru", "th", "zh"],
        },
    )
