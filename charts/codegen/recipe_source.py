"""Reads the fields of a recipe's dataclasses from their source; importing TRL's takes torch and seconds.

Says what is written there and decides nothing: see recipe_types for that.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import distribution, version
from pathlib import Path
from typing import Any, Final

# In the order of the method resolution: a later class overrides an earlier one.
DATACLASSES: Final = (
    ("transformers", "transformers/training_args.py", "TrainingArguments"),
    ("trl", "trl/trainer/base_config.py", "_BaseConfig"),
    ("trl", "trl/trainer/grpo_config.py", "GRPOConfig"),
    ("trl", "trl/trainer/model_config.py", "ModelConfig"),
    ("trl", "trl/scripts/utils.py", "ScriptArguments"),
)
OPEN_R1_DATACLASSES: Final = (
    ("trainer_image/grpo_trainer/rewards/arguments.py", "RewardArguments"),
    ("trainer_image/grpo_trainer/recipe.py", "OpenR1Arguments"),
)
"""Open-R1's keys: the learner's own classes."""
ROOT: Final = Path(__file__).resolve().parents[2]
ENUM_MODULES: Final = (
    ("transformers", "transformers/trainer_utils.py"),
    ("transformers", "transformers/training_args.py"),
    ("transformers", "transformers/debug_utils.py"),
)

Enums = dict[str, dict[str, str]]
"""{class name: {member: value}} of the enums whose values are strings."""


class UnknownDefault:
    """A default that the source computes: a factory, a name, a call."""


@dataclass(frozen=True)
class SourceField:
    name: str
    annotation: ast.expr
    help: str
    default: Any
    choices: list[str] | None
    """What argparse would accept; None when there is no such list, or a computed one."""


def read_versions() -> dict[str, str]:
    return {package: version(package) for package in ("trl", "transformers")}


def read_fields(enums: Enums) -> dict[str, SourceField]:
    fields: dict[str, SourceField] = {}
    for package, path, class_name in DATACLASSES:
        fields |= fields_by_name(_parse(package, path), class_name, enums)
    for path, class_name in OPEN_R1_DATACLASSES:
        fields |= fields_by_name(ast.parse((ROOT / path).read_text(encoding="utf-8")), class_name, enums)
    return fields


def fields_by_name(module: ast.Module, class_name: str, enums: Enums) -> dict[str, SourceField]:
    return {field.name: field for field in fields_of(class_named(module, class_name), enums)}


def read_enums() -> Enums:
    found: Enums = {}
    for package, path in ENUM_MODULES:
        found |= enums_of(_parse(package, path))
    return found


def _parse(package: str, path: str) -> ast.Module:
    return ast.parse(open(str(distribution(package).locate_file(path)), encoding="utf-8").read())


def enums_of(module: ast.Module) -> Enums:
    classes = [node for node in module.body if isinstance(node, ast.ClassDef)]
    members = {node.name: _string_members(node) for node in classes if _is_enum(node)}
    return {name: values for name, values in members.items() if values}


def _is_enum(node: ast.ClassDef) -> bool:
    return any(ast.unparse(base) in ("ExplicitEnum", "StrEnum", "Enum") for base in node.bases)


def _string_members(node: ast.ClassDef) -> dict[str, str]:
    return {
        ast.unparse(item.targets[0]): item.value.value
        for item in node.body
        if isinstance(item, ast.Assign) and isinstance(item.value, ast.Constant) and isinstance(item.value.value, str)
    }


def class_named(module: ast.Module, name: str) -> ast.ClassDef:
    return next(node for node in module.body if isinstance(node, ast.ClassDef) and node.name == name)


def fields_of(node: ast.ClassDef, enums: Enums) -> Iterator[SourceField]:
    for item in node.body:
        if isinstance(item, ast.AnnAssign) and "ClassVar" not in ast.unparse(item.annotation):
            yield _field(item, enums)


def _field(item: ast.AnnAssign, enums: Enums) -> SourceField:
    arguments: dict[str | None, ast.expr] = {}
    if isinstance(item.value, ast.Call):
        arguments = {keyword.arg: keyword.value for keyword in item.value.keywords}
    elif item.value is not None:
        arguments = {"default": item.value}
    metadata = _metadata(arguments.get("metadata"))
    return SourceField(
        name=ast.unparse(item.target),
        annotation=item.annotation,
        help=_help(metadata.get("help")),
        default=_default(arguments.get("default"), enums),
        choices=_choices(metadata.get("choices")),
    )


def _metadata(node: ast.expr | None) -> dict[str, ast.expr]:
    if not isinstance(node, ast.Dict):
        return {}
    return {ast.literal_eval(key): value for key, value in zip(node.keys, node.values, strict=True) if key}


def _help(node: ast.expr | None) -> str:
    """The text as argparse would show it. Of a computed one (`"..." + ", ".join(names)`), the constant parts."""
    if node is None:
        return ""
    constants = [part.value for part in ast.walk(node) if isinstance(part, ast.Constant)]
    text = " ".join(part for part in constants if isinstance(part, str))
    return " ".join(text.replace("%%", "%").split())


def _default(node: ast.expr | None, enums: Enums) -> Any:
    if node is None:
        return UnknownDefault
    if isinstance(node, ast.Attribute) and ast.unparse(node.value) in enums:
        return enums[ast.unparse(node.value)][node.attr]
    try:
        return ast.literal_eval(node)
    except ValueError:
        return UnknownDefault


def _choices(node: ast.expr | None) -> list[str] | None:
    return ast.literal_eval(node) if isinstance(node, ast.List) else None
