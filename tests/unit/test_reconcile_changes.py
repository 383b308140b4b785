"""Which children are written: none in a steady state, the right ones otherwise."""

from dataclasses import replace
from typing import Any

import pytest

from grpo_operator.desired.children import Child, build_children
from grpo_operator.reconcile.changes import children_to_write, ref_of
from grpo_operator.reconcile.observed import ObservedChild, observe
from unit.desired_inputs import TOKEN, make_run
from unit.observed_inputs import SETTINGS, all_children, stored

RUN = make_run()
WANTED = build_children(RUN, SETTINGS, 1, TOKEN)
APPLIED = {ref_of(child) for child in WANTED if not child.immutable}


def writes(
    existing: list[ObservedChild], markers: dict[tuple[str, str], str] | None = None, is_full_pass: bool = False
) -> set[tuple[str, str]]:
    found = {child.ref: child for child in existing}
    return {ref_of(child) for child in children_to_write(WANTED, found, markers or {}, is_full_pass)}


def test_nothing_is_written_when_all_is_there() -> None:
    existing = all_children(RUN)
    assert writes(existing) == set()
    assert writes(existing, {child.ref: child.marker for child in existing}) == set()


def test_everything_is_written_when_nothing_is_there() -> None:
    assert writes([]) == {ref_of(child) for child in WANTED}


def test_a_full_pass_writes_what_can_change() -> None:
    assert writes(all_children(RUN), is_full_pass=True) == APPLIED


def test_what_is_being_deleted_is_left_alone() -> None:
    existing = [replace(child, is_deleting=True, digest="") for child in all_children(RUN)]
    assert writes(existing, is_full_pass=True) == set()


@pytest.mark.parametrize("child", WANTED, ids=lambda child: "/".join(ref_of(child)))
def test_a_missing_one_is_written(child: Child) -> None:
    assert writes([entry for entry in all_children(RUN) if entry.ref != ref_of(child)]) == {ref_of(child)}


@pytest.mark.parametrize("child", WANTED, ids=lambda child: "/".join(ref_of(child)))
def test_one_that_was_asked_for_otherwise_is_written_if_it_can_change(child: Child) -> None:
    ref = ref_of(child)
    existing = [replace(entry, digest="other") if entry.ref == ref else entry for entry in all_children(RUN)]
    assert writes(existing) == ({ref} & APPLIED)


def edited(child: Child, **metadata: Any) -> ObservedChild:
    return observe(child.manifest["kind"], stored(child.manifest, **metadata))


@pytest.mark.parametrize(
    "child", [child for child in WANTED if not child.immutable], ids=lambda child: "/".join(ref_of(child))
)
def test_one_that_somebody_has_edited_is_written(child: Child) -> None:
    ref, kind = ref_of(child), child.manifest["kind"]
    metadata = {"generation": 2} if kind in ("Deployment", "NetworkPolicy") else {"resourceVersion": "2"}
    before = all_children(RUN)
    markers = {entry.ref: entry.marker for entry in before}
    after = [edited(child, **metadata) if entry.ref == ref else entry for entry in before]
    assert writes(after, markers) == {ref}
    assert writes(after) == set(), "whoever has just started has nothing to compare with"


def test_a_status_is_no_edit() -> None:
    (deployment,) = [child for child in WANTED if child.manifest["kind"] == "Deployment"]
    before = all_children(RUN)
    after = [edited(deployment, resourceVersion="9") if entry.kind == "Deployment" else entry for entry in before]
    assert writes(after, {entry.ref: entry.marker for entry in before}) == set()
