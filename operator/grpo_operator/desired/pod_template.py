"""Merging a partial pod template into a pod template, by the rules that `kubectl patch` has for pods.

Maps merge key by key and null removes a key. Lists of things that have a key of their own merge entry by entry; all
other lists are replaced.
"""

from typing import Any, Final

from grpo_operator.desired.manifest import Manifest

MERGE_KEYS: Final = {
    "containers": "name",
    "initContainers": "name",
    "imagePullSecrets": "name",
    "volumes": "name",
    "env": "name",
    "volumeMounts": "mountPath",
    "ports": "containerPort",
}
"""What tells the entries of a list apart: the patchMergeKey of the Kubernetes API."""


def merged(template: Manifest, partial: Manifest) -> Manifest:
    result = dict(template)
    for key, value in partial.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = _merged_value(key, template.get(key), value)
    return result


def _merged_value(key: str, old: Any, new: Any) -> Any:
    if isinstance(new, dict):
        return merged(old if isinstance(old, dict) else {}, new)
    if isinstance(new, list) and key in MERGE_KEYS:
        return _merged_list(key, old if isinstance(old, list) else [], new)
    return new


def _merged_list(key: str, old: list[Any], new: list[Any]) -> list[Any]:
    """Entries that are there keep their place; an entry without its key is left for the API server to refuse."""
    result = list(old)
    for entry in new:
        index = _index(result, MERGE_KEYS[key], entry)
        if index is None:
            result.append(entry)
        else:
            result[index] = _merged_entry(key, result[index], entry)
    return result


def _index(entries: list[Any], merge_key: str, wanted: Any) -> int | None:
    if not isinstance(wanted, dict) or merge_key not in wanted:
        return None
    same = (
        i for i, entry in enumerate(entries) if isinstance(entry, dict) and entry.get(merge_key) == wanted[merge_key]
    )
    return next(same, None)


def _merged_entry(key: str, old: Manifest, new: Manifest) -> Manifest:
    """A variable has one value and a volume one source: a value or source of another kind replaces the old one."""
    if key == "env":
        return new
    if key == "volumes" and old.keys() & new.keys() == {"name"}:
        return new
    return merged(old, new)
