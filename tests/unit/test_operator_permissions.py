"""The table that the chart's roles are made of."""

from grpo_operator.permissions import PERMISSIONS
from grpo_operator.resources import APPLIED, CHILDREN, CREATED, EVENT, GRPORUN, LEASE, Resource


def verbs(resource: Resource, subresource: str = "") -> set[str]:
    name = resource.plural + subresource
    return {
        verb
        for entry in PERMISSIONS
        if entry.group == resource.group and name in entry.resources
        for verb in entry.verbs
    }


def test_nothing_is_a_wildcard_and_everything_has_a_reason() -> None:
    for permission in PERMISSIONS:
        assert permission.resources
        assert permission.verbs
        assert not [word for word in (permission.group, *permission.resources, *permission.verbs) if "*" in word]
        assert permission.why


def test_everything_that_is_watched_may_be_watched() -> None:
    for resource in (GRPORUN, *CHILDREN):
        assert verbs(resource) >= {"list", "watch"}


def test_everything_that_is_written_may_be_written() -> None:
    for resource in APPLIED:
        assert verbs(resource) >= {"create", "patch"}
    for resource in CREATED:
        assert verbs(resource) >= {"create", "get"}
        assert not verbs(resource) & {"patch", "update"}
    assert verbs(GRPORUN) == {"list", "watch", "get", "delete"}, "what a run says is its author's"
    assert verbs(GRPORUN, "/status") == {"patch"}
    assert verbs(EVENT) == {"create"}


def test_the_lease_is_the_only_thing_at_home() -> None:
    assert [entry.resources for entry in PERMISSIONS if entry.in_operator_namespace] == [(LEASE.plural,)]
