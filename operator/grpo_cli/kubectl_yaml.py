"""YAML as kubectl reads it, so that a value has the same type here and in the cluster.

PyYAML takes 1e-6 for text, y for text and 2026-01-01 for a date; the library of kubectl takes them for a number, true
and text. A key that is there twice is an error for kubectl; PyYAML, and with it TRL and Open-R1, takes the last one.
"""

import json
import re
from collections.abc import Hashable
from typing import Any, Final

import yaml

BOOL: Final = "tag:yaml.org,2002:bool"
MERGE: Final = "tag:yaml.org,2002:merge"
FLOAT: Final = "tag:yaml.org,2002:float"
TIMESTAMP: Final = "tag:yaml.org,2002:timestamp"

_NUMBER: Final = re.compile(
    r"^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$|^[-+]?\.(?:inf|Inf|INF)$|^\.nan$"
)
_YES_OR_NO: Final = re.compile("^[yYnN]$")
_LONG: Final = 100_000
"""Characters: no line is broken."""


class DoubledKeyError(yaml.constructor.ConstructorError):
    """A key is there twice."""


class Loader(yaml.SafeLoader):
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            if key_node.tag == MERGE:
                continue  # the keys that `<<` brings in give way to those that are there
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                continue  # PyYAML refuses it itself
            if key in seen:
                self.found_twice(key, key_node)
            seen.add(key)
        return super().construct_mapping(node, deep)

    def found_twice(self, key: Hashable, node: yaml.Node) -> None:
        raise DoubledKeyError(None, None, f"key {key!r} is there twice", node.start_mark)


class Dumper(yaml.SafeDumper):
    """Quotes what Loader, and so kubectl, would take for something else than text."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


def _as_kubectl(resolvers: dict[str, list[tuple[str, Any]]]) -> dict[str, list[tuple[str, Any]]]:
    kept = {
        first: [(tag, pattern) for tag, pattern in entries if tag not in (FLOAT, TIMESTAMP)]
        for first, entries in resolvers.items()
    }
    for first in "-+.0123456789":
        kept[first] = [*kept.get(first, ()), (FLOAT, _NUMBER)]  # after integers
    for first in "yYnN":
        kept[first] = [*kept.get(first, ()), (BOOL, _YES_OR_NO)]
    return kept


Loader.bool_values = {**yaml.SafeLoader.bool_values, "y": True, "n": False}
Loader.yaml_implicit_resolvers = _as_kubectl(yaml.SafeLoader.yaml_implicit_resolvers)
Dumper.yaml_implicit_resolvers = Loader.yaml_implicit_resolvers
Dumper.add_representer(str, _text)


def read_documents(text: str) -> list[Any]:
    """
    Raises:
        yaml.YAMLError: it is no YAML, or holds a key twice.
    """
    return [document for document in yaml.load_all(text, Loader) if document is not None]


def read_leniently(text: str) -> tuple[list[Any], tuple[str, ...]]:
    """The documents, and the paths of keys that are there twice, once each."""
    doubled: list[str] = []

    class Collecting(Loader):
        """Takes the last one."""

        def construct_document(self, node: yaml.Node) -> Any:
            self.paths = _paths_of_keys(node)
            return super().construct_document(node)

        def found_twice(self, key: Hashable, node: yaml.Node) -> None:
            doubled.append(self.paths[node])

    documents = [document for document in yaml.load_all(text, Collecting) if document is not None]
    return documents, tuple(dict.fromkeys(doubled))


def _paths_of_keys(root: yaml.Node) -> dict[yaml.Node, str]:
    """{node of a key: where it lies in `root`}; what an alias repeats lies where it was first."""
    paths: dict[yaml.Node, str] = {}
    seen: set[yaml.Node] = set()

    def look(node: yaml.Node, path: str) -> None:
        if node in seen:
            return
        seen.add(node)
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                paths[key] = f"{path}.{key.value}".lstrip(".")
                look(value, paths[key])
        elif isinstance(node, yaml.SequenceNode):
            for index, entry in enumerate(node.value):
                look(entry, f"{path}[{index}]")

    look(root, "")
    return paths


def write(value: Any) -> str:
    return yaml.dump(value, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=_LONG)


def is_plain_mapping(text: str) -> bool:
    """Whether it is a mapping written as lines, not in braces."""
    root = yaml.compose(text, Loader)
    return isinstance(root, yaml.MappingNode) and not root.flow_style


def as_json(value: Any) -> Any:
    """As it arrives at the API server: 8.0 is 8 in JSON, and each key is text."""
    match value:
        case dict():
            return {_key(key): as_json(entry) for key, entry in value.items()}
        case list():
            return [as_json(entry) for entry in value]
        case float() if value.is_integer() and abs(value) < 1e21:
            return int(value)
        case _:
            return value


def _key(key: Any) -> str:
    return key if isinstance(key, str) else json.dumps(key, default=str)
