"""Values of options, as argparse reads them."""

import argparse
from collections.abc import Callable
from typing import Final, TypeVar

COUNT: Final = "give a number of 1 or more"
Value = TypeVar("Value")


def read_as(read: Callable[[str], Value], remedy: str) -> Callable[[str], Value]:
    """For argparse, whose own words name the function."""

    def value_of(text: str) -> Value:
        try:
            return read(text)
        except ValueError as problem:
            raise argparse.ArgumentTypeError(f"{text!r} will not do; {remedy}") from problem

    return value_of


def count(text: str) -> int:
    if int(text) < 1:
        raise ValueError(text)
    return int(text)
