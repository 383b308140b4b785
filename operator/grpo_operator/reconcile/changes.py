"""Which children have to be written. In a steady state: none."""

from collections.abc import Iterable, Mapping

from grpo_operator.desired.children import Child
from grpo_operator.desired.digest import digest_of
from grpo_operator.reconcile.observed import ObservedChild, Ref


def children_to_write(
    wanted: Iterable[Child], existing: Mapping[Ref, ObservedChild], markers: Mapping[Ref, str], is_full_pass: bool
) -> tuple[Child, ...]:
    return tuple(child for child in wanted if _must_write(child, existing, markers, is_full_pass))


def ref_of(child: Child) -> Ref:
    return child.manifest["kind"], child.manifest["metadata"]["name"]


def _must_write(
    child: Child, existing: Mapping[Ref, ObservedChild], markers: Mapping[Ref, str], is_full_pass: bool
) -> bool:
    ref = ref_of(child)
    there = existing.get(ref)
    if there is None:
        return True
    if child.immutable or there.is_deleting:
        return False
    was_edited = markers.get(ref, there.marker) != there.marker
    return is_full_pass or was_edited or there.digest != digest_of(child.manifest)
