"""Keys of a recipe that push to the hub."""

from typing import Final

PUSH_KEYS: Final = ("push_to_hub", "push_to_hub_revision", "callbacks")
"""With none of them set, a run pushes nothing."""

REVISION_CALLBACK: Final = "push_to_hub_revision"
"""Open-R1's one callback."""
