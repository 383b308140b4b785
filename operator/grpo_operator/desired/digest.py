"""A mark on each mutable child: what was last asked for. Children that carry the wanted mark are not written again."""

import hashlib
import json
from typing import Any, Final

from grpo_contract.labels import API_GROUP
from grpo_operator.desired.manifest import Manifest

DIGEST_ANNOTATION: Final = f"{API_GROUP}/digest"
DIGEST_LENGTH: Final = 16


def stamped(manifest: Manifest) -> Manifest:
    """The manifest with the digest of all the rest of it."""
    metadata = manifest["metadata"]
    annotations = metadata.get("annotations", {}) | {DIGEST_ANNOTATION: digest_of_json(manifest)}
    return manifest | {"metadata": metadata | {"annotations": annotations}}


def digest_of_json(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:DIGEST_LENGTH]


def digest_of(manifest: Manifest) -> str:
    """The digest that a wanted or an observed child carries; empty when it carries none."""
    return str(manifest["metadata"].get("annotations", {}).get(DIGEST_ANNOTATION, ""))
