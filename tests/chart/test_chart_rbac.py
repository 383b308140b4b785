"""The operator may do what its code asks for, and nothing else."""

import pytest

from chart.rendered import NAMESPACE, RELEASE, Manifest, Render, of_kind, only
from grpo_operator.permissions import PERMISSIONS

Rights = set[tuple[str, str, str]]
"""API group, resource, verb."""

RUNS = f"{RELEASE}-runs"
ALL_ROLES = ("Role", "ClusterRole")


def rights_of(role: Manifest) -> Rights:
    return {
        (group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def asked_for(in_operator_namespace: bool) -> Rights:
    return {
        (permission.group, resource, verb)
        for permission in PERMISSIONS
        if permission.in_operator_namespace is in_operator_namespace
        for resource in permission.resources
        for verb in permission.verbs
    }


def test_rights_are_what_the_code_asks_for(render: Render) -> None:
    manifests = render()
    assert rights_of(only(manifests, "ClusterRole", RUNS)) == asked_for(in_operator_namespace=False)
    own = only(manifests, "Role")
    assert rights_of(own) == asked_for(in_operator_namespace=True)
    assert own["metadata"]["namespace"] == NAMESPACE


def test_in_watched_namespaces_only(render: Render) -> None:
    manifests = render("watchNamespaces={a,b}")
    assert not of_kind(manifests, "ClusterRole")
    assert not of_kind(manifests, "ClusterRoleBinding")
    roles = {role["metadata"]["namespace"]: role for role in of_kind(manifests, "Role")}
    assert set(roles) == {NAMESPACE, "a", "b"}
    assert rights_of(roles["a"]) == rights_of(roles["b"]) == asked_for(in_operator_namespace=False)
    assert rights_of(roles[NAMESPACE]) == asked_for(in_operator_namespace=True)


@pytest.mark.parametrize("settings", [(), ("watchNamespaces={a}",)], ids=["all namespaces", "one namespace"])
def test_no_wildcard_no_escalation(render: Render, settings: tuple[str, ...]) -> None:
    manifests = render(*settings)
    roles = [role for kind in ALL_ROLES for role in of_kind(manifests, kind)]
    rights = set().union(*(rights_of(role) for role in roles))
    assert rights
    for group, resource, verb in rights:
        assert "*" not in f"{group}{resource}{verb}"
        assert verb not in {"escalate", "bind", "impersonate", "deletecollection"}
        assert resource not in {"pods/exec", "nodes", "serviceaccounts/token"}
    assert not [rule for role in roles for rule in role["rules"] if "nonResourceURLs" in rule]


@pytest.mark.parametrize("settings", [(), ("watchNamespaces={a,b}",)], ids=["all namespaces", "two namespaces"])
def test_every_role_is_of_this_chart_and_bound_to_the_operator(render: Render, settings: tuple[str, ...]) -> None:
    manifests = render(*settings)
    account = only(manifests, "Deployment")["spec"]["template"]["spec"]["serviceAccountName"]
    assert account == only(manifests, "ServiceAccount")["metadata"]["name"]
    for kind in ALL_ROLES:
        roles = {_key(role) for role in of_kind(manifests, kind)}
        bindings = of_kind(manifests, f"{kind}Binding")
        assert {(binding["metadata"].get("namespace"), binding["roleRef"]["name"]) for binding in bindings} == roles
        for binding in bindings:
            assert binding["roleRef"]["kind"] == kind
            assert binding["subjects"] == [{"kind": "ServiceAccount", "name": account, "namespace": NAMESPACE}]


def _key(role: Manifest) -> tuple[str | None, str]:
    return role["metadata"].get("namespace"), role["metadata"]["name"]
