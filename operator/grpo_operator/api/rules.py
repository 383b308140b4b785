"""Rules across fields, in CEL: what the API server refuses at apply. Data only; crd.py puts it where it belongs.

Each sentence names the field, its value and the remedy.
"""

from collections.abc import Collection, Mapping
from typing import Any, Final

from pydantic import BaseModel

from grpo_operator.api.cel import ROOT, Path, Rule, at_root, name_rule
from grpo_operator.api.data_rules import MIXTURE_RULES
from grpo_operator.api.deadline_rules import DEADLINE_RULES
from grpo_operator.api.recipe_rules import SPEC, recipe_rules
from grpo_operator.api.reward_rules import PER_GROUP_RULE, REWARD_RULES
from grpo_operator.api.spec import Generators, GRPORunSpec, Learners, PodSettings

LEARNERS: Final[Path] = ("spec", "learners")
GENERATORS: Final[Path] = ("spec", "generators")
STORAGE: Final[Path] = ("spec", "storage")

NAME_LENGTH: Final = 40
"""Leaves room in 63 characters for what the operator and the Job controller append to the names of children."""

MENDABLE: Final = ("recipe", "recipeDefaults", "generators.maxStaleness", "sampling")
"""They say what the run computes, and can be mended until it is accepted."""

MUTABLE: Final = frozenset(
    {
        *MENDABLE,
        "learners",
        "generators",
        "deadlines",
        "completions",
        "maxRestarts",
        "suspend",
        "activeDeadlineSeconds",
        "ttlSecondsAfterFinished",
    }
)
"""Fields that are not frozen as a whole: the recipe has rules of its own, pods have one per field."""

MUTABLE_OF_PODS: Final = frozenset({*PodSettings.model_fields})
"""How pods run: generators roll, and the next attempt's learners have it. What remains decides what is computed."""


def build_rules(trl_defaults: Mapping[str, Any]) -> list[Rule]:
    """`trl_defaults`: what TRL does where the recipe is silent."""
    return [
        *_NAME_RULES,
        *_POD_RULES,
        *_STORAGE_RULES,
        # The recipe is frozen then, and each access to one of its keys costs the API server a map of all that TRL knows.
        *(at_root(rule, exempt=_ACCEPTED) for rule in (*recipe_rules(trl_defaults), PER_GROUP_RULE)),
        *MIXTURE_RULES,
        *REWARD_RULES,
        *DEADLINE_RULES,
        *_immutability_rules(),
    ]


_ACCEPTED: Final = "(has(self.status) && has(self.status.startedAt))"
_IS_WRITE_OF_STATUS: Final = "self.status != oldSelf.status"
"""Then the API server keeps the old spec. It judges all rules all the same, and to compare recipes costs it most."""

_NAME: Final = "self.metadata.name"
_NAME_RULES: Final = (
    Rule(
        ROOT,
        f"{_NAME}.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$') && {_NAME}.size() <= {NAME_LENGTH}",
        f"metadata.name '{{{_NAME}}}' cannot begin the names of a run's pods; choose one of at most {NAME_LENGTH} "
        "characters, lower-case letters, digits and '-', that begins with a letter and ends with no '-'.",
    ),
)

_POD_RULES: Final = (
    Rule(
        LEARNERS,
        "self.replicas >= 1",
        "spec.learners.replicas is {self.replicas}, but a run needs a learner; set it to 1 or more.",
        ".replicas",
    ),
    Rule(
        GENERATORS,
        "self.replicas >= 1",
        "spec.generators.replicas is {self.replicas}, but a run needs a generator; set it to 1 or more.",
        ".replicas",
    ),
    Rule(
        LEARNERS,
        "!has(self.processes) || self.gpus == 0 || self.processes <= self.gpus",
        "spec.learners.processes is {self.processes}, but a pod has {self.gpus} GPUs and each process needs one; "
        "set it to {self.gpus} or less, or leave it out.",
        ".processes",
    ),
    Rule(
        SPEC,
        "(self.learners.gpus == 0) == (self.generators.gpus == 0)",
        "spec.learners.gpus is {self.learners.gpus} and spec.generators.gpus is {self.generators.gpus}, but one side "
        "on CPU would compute other probabilities than the other on GPU; set both to 0 or both above 0.",
        ".generators.gpus",
    ),
)


_STORAGE_RULES: Final = (
    name_rule(STORAGE, "claimName", "PersistentVolumeClaim"),
    name_rule(STORAGE, "storageClassName", "StorageClass"),
    Rule(
        SPEC,  # the API server refuses a CRD whose default of storage a rule of storage refuses
        "has(self.storage.size) || has(self.storage.claimName)",
        "spec.storage has neither size nor claimName; set spec.storage.size for a new claim or spec.storage.claimName "
        "for an existing one.",
        ".storage",
    ),
    Rule(
        STORAGE,
        "!has(self.size) || !has(self.claimName)",
        "spec.storage.size is '{self.size}' and spec.storage.claimName is '{self.claimName}', but a run has one "
        "volume; keep size for a new claim or claimName for an existing one.",
    ),
    Rule(
        STORAGE,
        "!has(self.size) || (isQuantity(self.size) && quantity(self.size).isGreaterThan(quantity('0')))",
        "spec.storage.size is '{self.size}', which is no amount of storage; write it as in 500Gi.",
        ".size",
    ),
    Rule(
        STORAGE,
        "!has(self.claimName) || !has(self.storageClassName)",
        "spec.storage.storageClassName is '{self.storageClassName}', but it is for a new claim and "
        "spec.storage.claimName is '{self.claimName}'; leave one of them out.",
        ".storageClassName",
    ),
    Rule(
        STORAGE,
        "!has(self.claimName) || !self.retain",
        "spec.storage.retain is true, but spec.storage.claimName is '{self.claimName}' and an existing claim is "
        "never deleted; leave retain out.",
        ".retain",
    ),
    Rule(
        STORAGE,
        "!has(self.claimName) || self.accessModes == ['ReadWriteMany']",
        "spec.storage.accessModes is '{self.accessModes.join(', ')}', but it is for a new claim and "
        "spec.storage.claimName is '{self.claimName}'; leave accessModes out.",
        ".accessModes",
    ),
    Rule(
        STORAGE,
        "self.accessModes.exists(mode, mode == 'ReadWriteMany' || mode == 'ReadWriteOnce')",
        "spec.storage.accessModes is '{self.accessModes.join(', ')}', but a run has several pods that write to one volume; "
        "use ReadWriteMany, or ReadWriteOnce when all of them run on one node.",
        ".accessModes",
    ),
)


_IS_SUSPENDED: Final = (
    "(self.spec.suspend && has(oldSelf.status) && has(oldSelf.status.phase) && oldSelf.status.phase == 'Suspended')"
)
_LEARNERS_RULE: Final = Rule(
    ROOT,
    f"self.spec.learners.replicas == oldSelf.spec.learners.replicas || {_IS_SUSPENDED}",
    "spec.learners.replicas can change only while the run is suspended, for all learners work on each step together; set "
    "spec.suspend to true, wait for the phase Suspended, change it, and set spec.suspend to false.",
    ".spec.learners.replicas",
    forbidden=True,
)


def _immutability_rules() -> list[Rule]:
    remedy = "delete the run and create it again, or create another under a new name"
    frozen = [
        *((SPEC, key) for key in _aliases(GRPORunSpec) if key not in MUTABLE),
        *((LEARNERS, key) for key in _aliases(Learners, without=MUTABLE_OF_PODS | {"replicas"})),
        *((GENERATORS, key) for key in _aliases(Generators, without=MUTABLE_OF_PODS | {"replicas", "max_staleness"})),
    ]
    return [
        _LEARNERS_RULE,
        *(
            Rule(
                ROOT,
                f"!{_ACCEPTED} || {_IS_WRITE_OF_STATUS} || self.spec.{key} == oldSelf.spec.{key}",
                f"spec.{key} cannot change once the run is accepted, since a run trains one model by one recipe; "
                f"{remedy}.",
                f".spec.{key}",
                forbidden=True,
            )
            for key in MENDABLE
        ),
        *(
            _frozen(at, key, f"{'.'.join((*at, key))} cannot change once the run is created; {remedy}.")
            for at, key in frozen
        ),
    ]


def _frozen(at: Path, key: str, text: str) -> Rule:
    same = f"has(self.{key}) == has(oldSelf.{key}) && (!has(self.{key}) || self.{key} == oldSelf.{key})"
    return Rule(at, same, text, f".{key}", forbidden=True)


def _aliases(model: type[BaseModel], without: Collection[str] = ()) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items() if name not in without]
