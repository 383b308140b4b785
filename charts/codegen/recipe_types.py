"""From a Python annotation to what a structural schema can say about a recipe's key."""

import ast
from typing import Any, Final

from codegen.recipe_source import Enums

Schema = dict[str, Any]

# A structural schema knows one type per field. Where TRL takes several, recipes in use decide which of these it is.
ANYTHING: Final[Schema] = {"x-kubernetes-preserve-unknown-fields": True}
OBJECT: Final[Schema] = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
INTEGER_OR_STRING: Final[Schema] = {"x-kubernetes-int-or-string": True}

_PLAIN: Final[dict[str, Schema]] = {
    "str": {"type": "string"},
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "bool": {"type": "boolean"},
    "dict": OBJECT,
}
_UNIONS: Final[dict[frozenset[str], Schema]] = {
    # A dictionary is a string only on a command line: its JSON, or the name of a file that holds it.
    frozenset({"dict", "str"}): OBJECT,
    frozenset({"int", "str"}): INTEGER_OR_STRING,
    frozenset({"list", "str"}): ANYTHING,
    frozenset({"bool", "str"}): ANYTHING,
    frozenset({"Literal", "str"}): ANYTHING,
}


class UnsayableError(Exception):
    """An annotation that no recipe can fill, or one that nobody has decided about yet."""


def schema_of(annotation: ast.expr, enums: Enums) -> Schema:
    """
    Raises:
        UnsayableError: the annotation is none of those that TRL and transformers use for keys of a recipe.
    """
    kinds = {_kind(node): node for node in _alternatives(annotation)}
    nullable: Schema = {"nullable": True} if kinds.pop("None", None) else {}
    for name in kinds.keys() & enums.keys():
        kinds.pop("str", None)  # `IntervalStrategy | str`: the string is the enum's value
        return {"type": "string", "enum": list(enums[name].values())} | nullable
    if len(kinds) == 1:
        return _one_type(*kinds.popitem(), enums) | nullable
    if frozenset(kinds) not in _UNIONS:
        raise UnsayableError(ast.unparse(annotation))
    return _UNIONS[frozenset(kinds)] | nullable


def _one_type(kind: str, node: ast.expr, enums: Enums) -> Schema:
    if kind == "list" and isinstance(node, ast.Subscript):
        return {"type": "array", "items": schema_of(node.slice, enums)}
    if kind not in _PLAIN:
        raise UnsayableError(ast.unparse(node))
    return _PLAIN[kind]


def _kind(node: ast.expr) -> str:
    name = node.value if isinstance(node, ast.Subscript) else node
    return ast.unparse(name).split(".")[-1]


def _alternatives(node: ast.expr) -> list[ast.expr]:
    """The members of A | B | None, Optional[A] and Union[A, B], flattened."""
    if isinstance(node, ast.BinOp):
        return _alternatives(node.left) + _alternatives(node.right)
    if isinstance(node, ast.Subscript) and _kind(node) in ("Optional", "Union"):
        members = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        none = [ast.Constant(None)] if _kind(node) == "Optional" else []
        return [leaf for member in members for leaf in _alternatives(member)] + none
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return _alternatives(ast.parse(node.value, mode="eval").body)
    return [node]
