"""The operator on somebody's cluster: one that is there is used as it is; what the demo installs carries its mark.

Nothing else is upgraded or removed: the cluster may be in production.
"""

import json
import shutil
from dataclasses import dataclass

from demo.errors import DemoError
from demo.jobs import trouble_of
from demo.namespace import MARK, NAMESPACE
from harness import crd
from harness.installation import OPERATOR_NAMESPACE, RELEASE, install_operator
from harness.kubectl import CommandFailedError, Kubectl, Manifest

COMPONENT = "app.kubernetes.io/component=operator"
INSTANCE = "app.kubernetes.io/instance"
SETTINGS_FILE = "settings.json"

ALL_STATES = ("--deployed", "--failed", "--pending", "--uninstalling")
"""Flags of `helm list`: without them Helm 3 leaves out what was interrupted."""

FLAGS = (f"--labels={MARK}", "--reset-then-reuse-values")
"""Of the demo's own installation: its mark, and what an earlier demo has set where this one says nothing."""


@dataclass(frozen=True)
class Operator:
    """One that was installed by the chart, with Helm or without."""

    namespace: str
    name: str
    """Of its Deployment and of its ConfigMap."""
    release: str
    settings: Manifest

    @property
    def watched(self) -> list[str]:
        """Namespaces; empty means all."""
        namespaces: list[str] = self.settings.get("watchNamespaces", [])
        return namespaces

    @property
    def pull_secrets(self) -> list[str]:
        """Names of the Secrets with which pods of runs get their images."""
        specs = [self.settings[role]["podTemplate"].get("spec", {}) for role in ("learner", "generator")]
        return sorted({entry["name"] for spec in specs for entry in spec.get("imagePullSecrets", [])})


def current_cluster() -> Kubectl:
    if missing := [program for program in ("kubectl", "helm") if shutil.which(program) is None]:
        raise DemoError(f"CLUSTER=current needs kubectl and helm on PATH; there is no {' and no '.join(missing)}.")
    return Kubectl()


def foreign_operator(kubectl: Kubectl) -> Operator | None:
    """One of somebody else, which the demo uses; None: the demo may install its own.

    Raises:
        DemoError: neither will do.
    """
    if others := [operator for operator in find_operators(kubectl) if not is_own(kubectl, operator)]:
        operator = choose(others)
        _require_available(kubectl, operator)
        return operator
    _refuse_foreign_release(kubectl)
    _refuse_interrupted_release(kubectl)
    return None


def provide_operator(kubectl: Kubectl, settings: list[str]) -> Operator:
    """One of somebody else, or the demo's own, installed with `settings`: flags of helm."""
    if operator := foreign_operator(kubectl):
        return operator
    try:
        install_operator(kubectl, *FLAGS, *settings)
    except CommandFailedError as error:
        trouble = trouble_of(kubectl.within(OPERATOR_NAMESPACE).find_all("pod", COMPONENT))
        remedy = f"{trouble}; correct image, imageRegistry or imagePullSecrets in the file that VALUES names"
        raise DemoError(f"The operator cannot be installed: {remedy if trouble else error}") from error
    return choose(find_operators(kubectl))


def remove_operator(kubectl: Kubectl) -> str:
    """What was done, in one sentence."""
    if not has_own_release(kubectl):
        return "No operator was removed: the demo has installed none."
    uninstall = f"helm uninstall {RELEASE} --namespace {OPERATOR_NAMESPACE}"
    if runs := _runs(kubectl):
        return f"The demo's operator stays, for it looks after {', '.join(runs)}; without it: {uninstall}"
    kubectl.within(OPERATOR_NAMESPACE).helm("uninstall", RELEASE, "--wait")
    return (
        "The operator that the demo installed is removed; there stay the custom resource and the operator's namespace: "
        f"kubectl delete crd {crd.NAME}; kubectl delete namespace {OPERATOR_NAMESPACE}"
    )


def find_operators(kubectl: Kubectl) -> list[Operator]:
    config_maps = json.loads(kubectl("get", "configmaps", "--all-namespaces", "-l", COMPONENT, "-o", "json"))["items"]
    return operators_in(config_maps)


def operators_in(config_maps: list[Manifest]) -> list[Operator]:
    """The chart writes one ConfigMap with settings for each; names and namespaces are whoever's installed it."""
    return [
        Operator(
            namespace=found["metadata"]["namespace"],
            name=found["metadata"]["name"],
            release=found["metadata"]["labels"].get(INSTANCE, ""),
            settings=json.loads(found["data"][SETTINGS_FILE]),
        )
        for found in config_maps
        if found["metadata"]["labels"].get("helm.sh/chart", "").startswith("grpo-operator-")
        and SETTINGS_FILE in found.get("data", {})
    ]


def choose(operators: list[Operator]) -> Operator:
    """One that looks after every namespace: the demo makes its own anew each time, and with it goes a Role in it."""
    for operator in operators:
        if not operator.watched:
            return operator
    known = "; ".join(f"{entry.namespace}/{entry.name} only {', '.join(entry.watched)}" for entry in operators)
    raise DemoError(
        f"No operator of this cluster looks after all namespaces ({known}), and a second one would get in its way: "
        "run the demo on another cluster, or empty watchNamespaces."
    )


def is_own(kubectl: Kubectl, operator: Operator) -> bool:
    """Whether the demo installed it."""
    return (operator.namespace, operator.release) == (OPERATOR_NAMESPACE, RELEASE) and has_own_release(kubectl)


def has_own_release(kubectl: Kubectl) -> bool:
    return bool(_own_states(kubectl))


def _own_states(kubectl: Kubectl) -> list[str]:
    return _states_of_release(kubectl, f"--selector={MARK}")


def _states_of_release(kubectl: Kubectl, *conditions: str) -> list[str]:
    """One, in Helm's words, or none where there is no such release."""
    inside = kubectl.within(OPERATOR_NAMESPACE)
    listed = json.loads(inside.helm("list", "--output=json", f"--filter=^{RELEASE}$", *ALL_STATES, *conditions))
    return [entry["status"] for entry in listed]


def _refuse_foreign_release(kubectl: Kubectl) -> None:
    if _states_of_release(kubectl) and not has_own_release(kubectl):
        raise DemoError(
            f"Helm release {RELEASE} of namespace {OPERATOR_NAMESPACE} has no operator, and the demo did not install it: "
            "install it whole, or uninstall it."
        )


def _refuse_interrupted_release(kubectl: Kubectl) -> None:
    """Helm changes one in these states no more; it only removes it."""
    for state in _own_states(kubectl):
        if state.startswith("pending-") or state == "uninstalling":
            raise DemoError(
                f"Helm release {RELEASE} of namespace {OPERATOR_NAMESPACE}, the demo's own, was interrupted ({state}): "
                "run `CLUSTER=current make demo-down`, then the demo again."
            )


def _require_available(kubectl: Kubectl, operator: Operator) -> None:
    deployment = kubectl.within(operator.namespace).find("deployment", operator.name)
    if not (deployment and deployment.get("status", {}).get("availableReplicas")):
        raise DemoError(
            f"The operator of this cluster does not run: see `kubectl -n {operator.namespace} describe deployment "
            f"{operator.name}`. The demo leaves it as it is."
        )


def copy_pull_secrets(kubectl: Kubectl, operator: Operator) -> None:
    """Into the demo's namespace, where its pods need them. Some clusters put them into every namespace by themselves."""
    for name in operator.pull_secrets:
        if secret := kubectl.within(operator.namespace).find("secret", name):
            kubectl.within(NAMESPACE).apply(build_copy(secret))


def build_copy(secret: Manifest) -> Manifest:
    content = {key: secret[key] for key in ("apiVersion", "kind", "type", "data")}
    return {**content, "metadata": {"name": secret["metadata"]["name"]}}


def _runs(kubectl: Kubectl) -> list[str]:
    """Namespace and name of each."""
    if kubectl.find("crd", crd.NAME) is None:
        return []
    items = json.loads(kubectl("get", "grporuns", "--all-namespaces", "-o", "json"))["items"]
    return sorted(f"{item['metadata']['namespace']}/{item['metadata']['name']}" for item in items)
