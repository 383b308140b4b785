"""Changing a manifest by saying what differs."""

from harness.kubectl import Manifest


def merge_patch(base: Manifest, patch: Manifest) -> Manifest:
    """As a JSON merge patch (RFC 7386): maps join, None removes, everything else replaces. Changes neither argument."""
    joined = dict(base)
    for key, value in patch.items():
        if value is None:
            joined.pop(key, None)
        elif isinstance(value, dict) and isinstance(base.get(key), dict):
            joined[key] = merge_patch(base[key], value)
        else:
            joined[key] = value
    return joined
