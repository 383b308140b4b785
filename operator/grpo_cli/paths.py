"""Where in a GRPORun something is, as the API server writes it: spec.recipe.reward_funcs[0]."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

RECIPE: Final = "spec.recipe"


def path_of(parts: Iterable[str | int]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts).lstrip(".")


def overlap(path: str, other: str) -> bool:
    """Whether one is, or is within, the other."""
    return _is_within(path, other) or _is_within(other, path)


def _is_within(path: str, outer: str) -> bool:
    return path == outer or path.startswith((f"{outer}.", f"{outer}["))


def values_at(value: Any, path: tuple[str, ...], parts: tuple[str | int, ...] = ()) -> Iterator[tuple[str, Any]]:
    """(path, value) of what is there; "[]" in `path` is each item of a list, and null is as good as absent."""
    if value is None:
        return
    if not path:
        yield path_of(parts), value
        return
    first, rest = path[0], path[1:]
    if first != "[]":
        inner = value.get(first) if isinstance(value, dict) else None
        yield from values_at(inner, rest, (*parts, first))
        return
    for place, item in enumerate(value if isinstance(value, list) else ()):
        yield from values_at(item, rest, (*parts, place))
