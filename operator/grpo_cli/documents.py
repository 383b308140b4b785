"""A file's text: a recipe as TRL and Open-R1 have it, with the keys at top level, or a GRPORun."""

from dataclasses import dataclass
from typing import Any, Final

import yaml

from grpo_cli.kubectl_yaml import DoubledKeyError, as_json, read_documents, read_leniently
from grpo_operator.api.run import API_VERSION, KIND

RUN_KEYS: Final = frozenset({"apiVersion", "kind", "spec"})
"""What tells a GRPORun from a recipe."""
BYTE_ORDER_MARK: Final = "\ufeff"


class UnreadableError(Exception):
    """One sentence for the user."""


@dataclass(frozen=True)
class Document:
    name: str
    """Of the file."""
    text: str
    content: dict[str, Any]
    """As JSON, which is what the API server gets."""
    doubled: tuple[str, ...] = ()
    """Paths of keys that a recipe holds twice; the last one counts."""

    @property
    def is_run(self) -> bool:
        return bool(self.content.keys() & RUN_KEYS)


def read_document(name: str, text: str) -> Document:
    """
    Raises:
        UnreadableError: it holds neither one recipe nor one GRPORun.
    """
    text = text.removeprefix(BYTE_ORDER_MARK)
    contents, doubled = _contents(name, text)
    if len(contents) != 1:
        holds = f"holds {len(contents)} documents" if contents else "is empty"
        raise UnreadableError(f"{name} {holds}; give one recipe or one GRPORun.")
    (content,) = contents
    if not isinstance(content, dict):
        raise UnreadableError(f"{name} holds no keys and values; give a recipe or a GRPORun.")
    document = Document(name, text, as_json(content), doubled)
    if document.is_run:
        check_kind(document)
    return document


def _contents(name: str, text: str) -> tuple[list[Any], tuple[str, ...]]:
    try:
        try:
            return read_documents(text), ()
        except DoubledKeyError:
            contents, doubled = read_leniently(text)
            if any(isinstance(content, dict) and content.keys() & RUN_KEYS for content in contents):
                raise
            return contents, doubled
    except yaml.YAMLError as error:
        words = " ".join(str(error).split())
        raise UnreadableError(f"{name} is no YAML that kubectl would read ({words}); correct it.") from error


def check_kind(document: Document) -> None:
    kind, version = document.content.get("kind"), document.content.get("apiVersion")
    if (kind, version) != (KIND, API_VERSION):
        raise UnreadableError(
            f"{document.name} holds a {kind} of {version}; give a {KIND} of {API_VERSION}, or a recipe with its keys at "
            f"top level."
        )
