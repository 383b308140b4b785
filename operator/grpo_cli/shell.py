"""What could stand in the place of the word that is being typed: kubectl, from 1.26 on, asks `kubectl_complete-grpo` on PATH."""

import io
import os
import shlex
import sys
from collections.abc import Sequence
from typing import Final

from argcomplete.completers import SuppressCompleter
from argcomplete.finders import CompletionFinder

from grpo_cli.main import build_parser

FILES: Final = ":0"
"""The last line of an answer: cobra, which reads it, is to offer files where there is nothing else."""
NO_FILES: Final = ":4"
PROGRAM: Final = "kubectl-grpo"
SEPARATOR: Final = "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """`arguments`: the words behind `kubectl grpo`; the last one is being typed, and may be empty."""
    words = sys.argv[1:] if arguments is None else arguments
    found = candidates(list(words) or [""])
    print(SEPARATOR.join([*found, NO_FILES if found else FILES]))
    return 0


def candidates(words: Sequence[str]) -> list[str]:
    """argcomplete reads its question from the environment, as shells put it there."""
    line = f"{shlex.join([PROGRAM, *words[:-1]])} {words[-1]}"
    question = {"COMP_LINE": line, "COMP_POINT": str(len(line)), "_ARGCOMPLETE": "1", "_ARGCOMPLETE_IFS": SEPARATOR}
    os.environ |= question
    answer = io.StringIO()
    CompletionFinder()(
        build_parser(),
        always_complete_options=False,
        exit_method=lambda code: None,
        output_stream=answer,
        append_space=False,
        default_completer=SuppressCompleter(),
    )
    return [word for word in answer.getvalue().split(SEPARATOR) if word]


if __name__ == "__main__":
    sys.exit(main())
