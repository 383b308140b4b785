"""A GRPORun -> what is to be said of it. Pure: no files, no printing."""

import re
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field
from typing import Any, Final

from grpo_cli.batches import Batch
from grpo_cli.combinations import combinations
from grpo_cli.evaluation_findings import evaluation_findings
from grpo_cli.finding import Finding, Level, error
from grpo_cli.memory import Gpu, Memory, Model, estimate, memory_findings
from grpo_cli.paths import RECIPE
from grpo_cli.plan import Plan
from grpo_cli.product import Product
from grpo_cli.remedies import with_remedies
from grpo_cli.rows import rows_of
from grpo_cli.rules import broken_rules
from grpo_cli.stored import as_stored, as_typed
from grpo_cli.structure import misfits
from grpo_cli.translation import not_accepted, translated, without_effect
from grpo_contract.recipe.old_keys import OLD_KEYS
from grpo_operator.api.spec import GRPORunSpec

OF_RECIPE: Final = re.compile(rf"{re.escape(RECIPE)}\.(\w+)")
"""A field of a recipe's key, or within its value."""


@dataclass(frozen=True)
class Known:
    """What the author says beside the manifest."""

    rows: int | None = None
    """Of the data set, or of all that the entries of a mixture give."""
    eval_rows: int | None = None
    """Of the split to evaluate on; a mixture says it itself."""
    model: Model | None = None
    gpu: Gpu = field(default_factory=Gpu)


@dataclass(frozen=True)
class Report:
    findings: tuple[Finding, ...]
    plan: Plan | None = None
    """None: the API server would refuse the run, and it would not add up."""
    memory: Memory | None = None

    @property
    def has_errors(self) -> bool:
        return any(finding.level is Level.ERROR for finding in self.findings)

    @property
    def batch(self) -> Batch | None:
        return None if self.plan is None else self.plan.batch


def check_run(run: Mapping[str, Any], known: Known, product: Product) -> Report:
    """`run` as JSON, as it was written."""
    structure = misfits(run, product.schema)
    stored = as_stored(_named(run), product.schema)
    fields = [finding.field for finding in structure]
    typed = as_typed(stored, product.schema)
    broken = broken_rules(typed, product.rules, fields)
    refused = [*_unnamed(run), *structure, *with_remedies(broken, typed, product.rules, fields)]
    spec = _mapping(stored.get("spec"))
    # Tables of keys are not made for values that the schema refuses.
    unfit = _keys_of(structure)
    recipe = {key: value for key, value in _mapping(spec.get("recipe")).items() if key not in unfit}
    todays, notes = translated(recipe, spec.get("recipeDefaults"))
    notes = [note for note in notes if note.field not in _todays_fields(unfit)]  # they are there, and not left out
    told = [
        *not_accepted(todays, product.defaults, unfit | _keys_of(broken)),
        *notes,
        *without_effect(recipe, product.recipe_keys),
    ]
    if refused:
        return Report(in_order([*refused, *told]))
    plan = Plan(
        GRPORunSpec.model_validate(spec), todays, product.defaults, *rows_of(todays, known.rows, known.eval_rows)
    )
    return _whole_report(plan, known, told)


def _whole_report(plan: Plan, known: Known, told: Iterable[Finding]) -> Report:
    findings = [*told, *combinations(plan), *evaluation_findings(plan)]
    memory = None if known.model is None else estimate(plan, known.model, known.gpu)
    if known.model is not None and memory is not None:
        findings += memory_findings(plan, known.model, known.gpu, memory)
    return Report(in_order(findings), plan, memory)


def _keys_of(findings: Iterable[Finding]) -> set[str]:
    """The recipe's, that something is said of."""
    return {match[1] for finding in findings if (match := OF_RECIPE.match(finding.field))}


def _todays_fields(keys: Set[str]) -> set[str]:
    return {f"{RECIPE}.{key}" for key in keys | {OLD_KEYS[key].becomes for key in keys & OLD_KEYS.keys()}}


def in_order(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    levels = list(Level)
    return tuple(sorted(dict.fromkeys(findings), key=lambda finding: levels.index(finding.level)))


def _mapping(value: Any) -> dict[str, Any]:
    """What the schema refuses may be anything."""
    return value if isinstance(value, dict) else {}


def _unnamed(run: Mapping[str, Any]) -> list[Finding]:
    if _mapping(run.get("metadata")).keys() & {"name", "generateName"}:
        return []
    return [error("metadata.name", "metadata.name is missing; choose one.")]


def _named(run: Mapping[str, Any]) -> dict[str, Any]:
    """With the name that the API server would give, or one that no rule complains of."""
    metadata = _mapping(run.get("metadata"))
    prefix = metadata.get("generateName")
    return {**run, "metadata": {"name": f"{prefix}xxxxx" if prefix else "unnamed"} | metadata}
