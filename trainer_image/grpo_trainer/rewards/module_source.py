"""What a module's source tells without importing it: an import may bring torch along, and takes a minute on busy cores."""

import ast
import sys
from collections.abc import Iterator, Sequence
from importlib.machinery import PathFinder, SourceFileLoader
from pathlib import Path
from typing import Final

DYNAMIC: Final = frozenset(
    {"*", "globals", "locals", "vars", "exec", "eval", "setattr", "modules", "__dict__", "__getattr__"}
)
"""With one of these in it, a module may hold names that its source does not."""


def file_of(module: str, folders: Sequence[Path]) -> Path | None:
    """Where it would be imported from, `folders` being looked into first; None when that is not plain to see."""
    path = [*map(str, folders), *sys.path]
    spec = None
    for part in module.split("."):
        spec = PathFinder.find_spec(part, path)
        if spec is None:
            return None
        path = list(spec.submodule_search_locations or [])
    return Path(spec.loader.path) if spec and isinstance(spec.loader, SourceFileLoader) else None


def may_hold(name: str, file: Path) -> bool:
    """False when the module cannot have this name.

    Raises:
        SyntaxError: as the import would.
        ValueError: there is a null byte in it.
    """
    words = set(_words_in(ast.parse(file.read_bytes(), file.name)))
    return name in words or not words.isdisjoint(DYNAMIC)


def _words_in(tree: ast.AST) -> Iterator[str]:
    """Identifiers and strings. Whatever binds a name has it in one of its fields; `import a.b` binds a."""
    for node in ast.walk(tree):
        for _, value in ast.iter_fields(node):
            for part in value if isinstance(value, list) else [value]:
                if isinstance(part, str):
                    yield part.partition(".")[0]
