"""GRPORuns for the tests: the demo's, whole and in small."""

import copy
from collections.abc import Callable
from typing import Any

from harness.installation import ROOT
from harness.kubectl import Kubectl, Manifest, load_manifests

MakeNamespace = Callable[[], Kubectl]


def demo_run(name: str = "demo", **changes: Any) -> Manifest:
    """manifests/demo.yaml; `changes` are merged into its spec ({"recipe": {"max_steps": 3}}), None removes a key."""
    (run,) = load_manifests(ROOT / "manifests" / "demo.yaml")
    run["metadata"]["name"] = name
    run["spec"] = _merge(run["spec"], changes)
    return run


def small_run(name: str, steps: int = 3, **changes: Any) -> Manifest:
    """The demo in small: one learner, one generator, few completions."""
    small: dict[str, Any] = {
        "recipe": {"max_steps": steps, "per_device_train_batch_size": 16},
        "learners": {"replicas": 1},
        "generators": {"replicas": 1},
    }
    return demo_run(name, **_merge(small, changes))


def _merge(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    merged = copy.deepcopy(base)
    for key, value in changes.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict) and isinstance(merged.get(key), dict):
            merged[key] = _merge(merged[key], value)
        else:
            merged[key] = value
    return merged
