"""`python -m grpo_generator.stager`: the process that keeps the mirror of the weights.

A process of its own, so that a transfer takes neither vLLM's interpreter lock nor its event loop. It reads offers from its
standard input, one a line, and answers each with a line on its standard output; it ends with the server, which closes both.
"""

import sys

from pydantic import BaseModel

from grpo_contract.weights import StageAnswer, WeightOffer
from grpo_generator.mirror import Mirror
from grpo_generator.pull import PullError, pull


class Refusal(BaseModel):
    error: str


def main() -> None:
    mirror = Mirror()
    for line in sys.stdin:
        print(follow(line, mirror).model_dump_json(), flush=True)


def follow(line: str, mirror: Mirror) -> StageAnswer | Refusal:
    try:
        pull(WeightOffer.model_validate_json(line), mirror)
    except (PullError, OSError, ValueError) as error:  # ValueError: what came is no offer
        return Refusal(error=str(error))
    return StageAnswer(path=mirror.path)


if __name__ == "__main__":
    main()
