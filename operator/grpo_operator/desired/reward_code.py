"""ConfigMaps with modules of reward functions, in the learners' pods. They are the user's own and are never written."""

from collections.abc import Iterator

from grpo_contract import files
from grpo_operator.api.run import GRPORun
from grpo_operator.desired.manifest import Manifest


def config_maps(run: GRPORun) -> Iterator[tuple[int, str]]:
    """The place in spec.rewards.from, and the name."""
    for place, source in enumerate(run.spec.rewards.sources):
        if source.config_map:
            yield place, source.config_map.name


def build_volumes(run: GRPORun) -> list[Manifest]:
    return [
        {"name": _volume(place), "configMap": {"name": name, "defaultMode": 0o440}} for place, name in config_maps(run)
    ]


def build_mounts(run: GRPORun) -> list[Manifest]:
    return [
        {"name": _volume(place), "mountPath": str(files.reward_code_folder(place)), "readOnly": True}
        for place, _ in config_maps(run)
    ]


def _volume(place: int) -> str:
    return f"reward-code-{place}"
