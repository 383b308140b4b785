"""The operator may do what its code asks for, and nothing else; people get runs by Kubernetes' own roles."""

import pytest
import yaml

from chart.rendered import CHART, NAMESPACE, RELEASE, Manifest, Render, Run, of_kind, only
from grpo_operator.permissions import PERMISSIONS

Rights = set[tuple[str, str, str]]
"""API group, resource, verb."""

RUNS = f"{RELEASE}-runs"
ALL_ROLES = ("Role", "ClusterRole")
AGGREGATED = "rbac.authorization.k8s.io/aggregate-to-"
RUN, STATUS, SCALE = "grporuns", "grporuns/status", "grporuns/scale"


def operators_roles(manifests: list[Manifest]) -> list[Manifest]:
    return [role for kind in ALL_ROLES for role in of_kind(manifests, kind) if not aggregated_to(role)]


def aggregated_to(role: Manifest) -> set[str]:
    """Kubernetes' own roles that its rules are added to."""
    return {label.removeprefix(AGGREGATED) for label in role["metadata"]["labels"] if label.startswith(AGGREGATED)}


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
    roles = operators_roles(render(*settings))
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
        roles = {_key(role) for role in operators_roles(manifests) if role["kind"] == kind}
        bindings = of_kind(manifests, f"{kind}Binding")
        assert {(binding["metadata"].get("namespace"), binding["roleRef"]["name"]) for binding in bindings} == roles
        for binding in bindings:
            assert binding["roleRef"]["kind"] == kind
            assert binding["subjects"] == [{"kind": "ServiceAccount", "name": account, "namespace": NAMESPACE}]


def test_people_have_runs_by_kubernetes_own_roles(render: Render) -> None:
    """edit is made of view's rules and admin of edit's: Kubernetes' own roles carry those labels."""
    roles = {role["metadata"]["name"]: role for role in of_kind(render(), "ClusterRole") if aggregated_to(role)}
    assert {name: aggregated_to(role) for name, role in roles.items()} == {
        f"{RELEASE}-view": {"view"},
        f"{RELEASE}-edit": {"edit"},
    }
    looking, changing = ("get", "list", "watch"), ("create", "update", "patch", "delete", "deletecollection")
    assert rights_of(roles[f"{RELEASE}-view"]) == {
        ("grpo.dev", resource, verb) for resource in (RUN, STATUS, SCALE) for verb in looking
    }
    assert rights_of(roles[f"{RELEASE}-edit"]) == {("grpo.dev", RUN, verb) for verb in changing} | {
        ("grpo.dev", SCALE, verb) for verb in ("update", "patch")
    }


@pytest.mark.parametrize("setting", ["userRoles.enabled=false", "watchNamespaces={a}"])
def test_nothing_is_added_to_kubernetes_own_roles(render: Render, setting: str) -> None:
    assert not [role for role in of_kind(render(setting), "ClusterRole") if aggregated_to(role)]


def test_an_administrator_can_add_them_once_for_all_releases(helm: Run) -> None:
    """As the chart's README says it for releases with watchNamespaces."""
    done = helm("template", RELEASE, CHART, "--show-only", "templates/userroles.yaml")
    assert done.returncode == 0, done.stderr
    assert [role["metadata"]["name"] for role in yaml.safe_load_all(done.stdout)] == [
        f"{RELEASE}-view",
        f"{RELEASE}-edit",
    ]


def _key(role: Manifest) -> tuple[str | None, str]:
    return role["metadata"].get("namespace"), role["metadata"]["name"]
