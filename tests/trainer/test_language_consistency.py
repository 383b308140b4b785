"""Exact shares of words in the target language."""

import dataclasses

import pytest

from grpo_trainer.rewards import registry
from grpo_trainer.rewards.arguments import RewardArguments
from grpo_trainer.rewards.language_consistency import SCRIPTS

SHARES: list[tuple[str, str, float]] = [
    # target_language, completion, reward
    ("en", "So the answer is five.", 1.0),
    ("en", "So 答案 is five.", 3 / 5),
    ("en", "答案是五", 0.0),
    ("zh", "答案是五", 1.0),
    ("zh", "答案是 five", 3 / 4),
    ("ja", "答えはfiveです", 5 / 6),
    ("ko", "답은 다섯 이다 yes", 3 / 4),
    ("ru", "Ответ: five", 1 / 2),
    ("ru", "Москваcity", 1 / 2),
    ("el", "η απάντηση είναι five", 2 / 3),
    ("ar", "الجواب خمسة five", 2 / 3),
    ("he", "התשובה five", 1 / 2),
    ("hi", "उत्तर पाँच है yes", 3 / 4),
    ("th", "ห้า yes", 2 / 3),
    # Marks belong to the letter before them.
    ("en", "cafe\u0301 naïve mañana 好", 3 / 4),
    # Languages of one script are not told apart.
    ("en", "La réponse est cinq.", 1.0),
    ("ja", "答案", 1.0),
    # Numbers, variables and signs are no words.
    ("zh", "设 x = 5, y ≥ α 2: 𝑥", 1.0),
    # Nor are code, formulas, tags and addresses.
    ("zh", "<think>\n设\n</think>\n<answer>\n五\n</answer>", 1.0),
    ("zh", r"设 $\sin(ab)$ 和 $$\frac{ab}{cd}$$ 和 \(\cos x\) 和 \[\tan x\] 是 \boxed{5}", 1.0),
    ("zh", "用 `print(five)`\n```python\nprint(five)\n```\n见 https://example.org/five 吧", 1.0),
    ("zh", "用\n```python\nprint(five)", 1.0),
    ("en", r"by $\sin(ab)$ 好", 1 / 2),
    ("en", r"The sum $\text{等于五}$ is five.", 4 / 7),
    ("zh", "\\begin{align*} 设 \\end{align*}", 1.0),
    # Without a word, nothing is in the target language.
    ("en", "", 0.0),
    ("en", "$5$", 0.0),
]


@pytest.mark.parametrize(("language", "completion", "reward"), SHARES)
def test_language_consistency(language: str, completion: str, reward: float) -> None:
    function = registry.load("language_consistency", RewardArguments(target_language=language))
    assert function([completion]) == pytest.approx([reward])
    assert function([[{"role": "assistant", "content": completion}]]) == pytest.approx([reward])


def test_every_language_of_the_recipe_has_its_scripts() -> None:
    (field,) = (field for field in dataclasses.fields(RewardArguments) if field.name == "target_language")
    assert field.metadata["choices"] == list(SCRIPTS)
