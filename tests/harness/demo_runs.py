"""GRPORuns for the tests: the demo's, whole and in small."""

from typing import Any

from harness.kubectl import Manifest, load_manifests
from harness.layout import MANIFESTS
from harness.merge_patch import merge_patch

NO_NODE: dict[str, Any] = {"nodeSelector": {"accelerator": "none-such"}}
"""Of learners or generators that are never to start."""


def demo_run(name: str = "demo", **changes: Any) -> Manifest:
    """manifests/demo.yaml; `changes` are merged into its spec ({"recipe": {"max_steps": 3}}), None removes a key."""
    (run,) = load_manifests(MANIFESTS / "demo.yaml")
    run["metadata"]["name"] = name
    run["spec"] = merge_patch(run["spec"], changes)
    return run


def small_run(name: str, steps: int = 3, **changes: Any) -> Manifest:
    """The demo in small: one learner, one generator, few completions."""
    small: dict[str, Any] = {
        "recipe": {"max_steps": steps, "per_device_train_batch_size": 16},
        "learners": {"replicas": 1},
        "generators": {"replicas": 1},
    }
    return demo_run(name, **merge_patch(small, changes))


def hungry_run(max_restarts: int, **changes: Any) -> Manifest:
    """Its learners have too little memory: the kernel ends them at each attempt, before anything is loaded."""
    little = {"resources": {"limits": {"memory": "64Mi"}, "requests": {"memory": "64Mi"}}}
    return small_run("hungry", learners=little, generators=NO_NODE, maxRestarts=max_restarts, **changes)
