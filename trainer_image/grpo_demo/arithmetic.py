"""One-step arithmetic word problems, answered in Open-R1's think/answer format."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

NAMES: Final = ("Mia", "Tom", "Ada", "Ben", "Eva", "Leo")
THINGS: Final = ("apples", "books", "coins", "pens", "shells", "cards")
TEMPLATES: Final = {
    "+": "{name} has {a} {things} and gets {b} more. How many {things} does {name} have now?",
    "-": "{name} has {a} {things} and loses {b}. How many {things} does {name} have now?",
}


@dataclass(frozen=True)
class Problem:
    text: str
    work: str
    """The line that a solver would think, up to the result."""
    result: int

    @property
    def solution(self) -> str:
        """LaTeX, as in Open-R1's data sets."""
        return f"${self.result}$"

    def completion(self, result: int) -> str:
        """A well-formed answer that arrives at `result`."""
        return f"<think>\n{self.work}{result}\n</think>\n<answer>\n\\boxed{{{result}}}\n</answer>"


def make_problem(rng: random.Random) -> Problem:
    operator = rng.choice("+-")
    a, b = rng.randint(2, 12), rng.randint(2, 9)
    if operator == "-" and b > a:
        a, b = b, a
    text = TEMPLATES[operator].format(name=rng.choice(NAMES), things=rng.choice(THINGS), a=a, b=b)
    return Problem(text, f"{a} {operator} {b} = ", a + b if operator == "+" else a - b)


def distinct_problems(rng: random.Random) -> Iterator[Problem]:
    """There are some 6,000 different ones; no text comes twice."""
    seen: set[str] = set()
    while True:
        problem = make_problem(rng)
        if problem.text not in seen:
            seen.add(problem.text)
            yield problem
