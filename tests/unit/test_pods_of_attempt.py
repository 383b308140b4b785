"""An operator of another version, or with other defaults, leaves the pods of an attempt alone."""

from typing import Any

import pytest

from grpo_operator.api.run import GRPORun
from grpo_operator.desired.manifest import Manifest
from grpo_operator.desired.pods_of_attempt import PODS_ANNOTATION, read_pods
from grpo_operator.reconcile.observed import observe
from grpo_operator.reconcile.plan import Plan
from grpo_operator.reconcile.reconcile import reconcile
from grpo_operator.reconcile.world import World
from unit.desired_inputs import children_of, container_of, make_run, make_settings, reference
from unit.observed_inputs import NAME, NOW, SETTINGS, stored

DEPLOYMENT = f"Deployment/{NAME}-generator"
OTHERS = make_settings(
    generator={"spec": {"containers": [{"name": "generator", "env": [{"name": "NEW", "value": "1"}]}]}}
)
"""Of another version of the chart."""


def look(run: GRPORun, *, without: str = "", edited: str | None = None) -> Plan:
    """At what the operator of before has made, by that of now."""
    made = children_of(make_run(), SETTINGS)
    if edited is not None:
        made[DEPLOYMENT]["metadata"]["annotations"][PODS_ANNOTATION] = edited
    children = [observe(each["kind"], stored(each)) for name, each in made.items() if name != without]
    return reconcile(run, World(children=tuple(children), token="t"), OTHERS, NOW)


def written(plan: Plan) -> dict[str, Manifest]:
    return {reference(child.manifest): child.manifest for child in plan.write}


def has_news(deployment: Manifest) -> bool:
    return any(variable["name"] == "NEW" for variable in container_of(deployment["spec"]["template"])["env"])


def test_nothing_of_an_attempt_that_has_begun_is_written() -> None:
    assert written(look(make_run())) == {}


def test_another_number_of_generators_leaves_those_that_are_there() -> None:
    made = written(look(make_run(generators={"replicas": 3})))
    assert set(made) == {DEPLOYMENT}
    spec = made[DEPLOYMENT]["spec"]
    assert spec["replicas"] == 3
    assert spec["template"] == children_of(make_run(), SETTINGS)[DEPLOYMENT]["spec"]["template"]


@pytest.mark.parametrize(
    "spec",
    [
        {"generators": {"image": "own:1"}},
        {"generators": {"env": [{"name": "OWN", "value": "1"}]}},
        {"generators": {"resources": {"limits": {"memory": "9Gi"}}}},
        {"generators": {"nodeSelector": {"disk": "ssd"}}},
        {"generators": {"podTemplate": {"metadata": {"labels": {"own": "1"}}}}},
        {"deadlines": {"generatorsSeconds": 7200}},
        {"recipe": make_run().spec.recipe | {"learning_rate": 1e-5}},
    ],
    ids=lambda spec: next(iter(next(iter(spec.values())))),
)
def test_what_the_run_changes_of_its_generators_makes_new_ones(spec: dict[str, Any]) -> None:
    assert has_news(written(look(make_run(**spec)))[DEPLOYMENT])


@pytest.mark.parametrize("of_the_attempt", [f"Job/{NAME}-learner-1", DEPLOYMENT])
def test_what_is_yet_to_be_made_is_made_by_todays_operator(of_the_attempt: str) -> None:
    """The next attempt's pods are all of one kind."""
    made = written(look(make_run(), without=of_the_attempt))
    assert set(made) == {DEPLOYMENT, of_the_attempt}
    assert has_news(made[DEPLOYMENT])


@pytest.mark.parametrize("edited", ["", "{", '{"asked": "x"}'])
def test_a_deployment_that_does_not_tell_is_written_anew(edited: str) -> None:
    assert has_news(written(look(make_run(), edited=edited))[DEPLOYMENT])


def test_the_next_attempt_is_of_todays_operator_whatever_was_written_of_it_before() -> None:
    """Its Job was, and the Deployment was refused."""
    before = [observe(each["kind"], stored(each)) for each in children_of(make_run(), SETTINGS).values()]
    job = observe("Job", stored(children_of(make_run(), OTHERS, attempt=2)[f"Job/{NAME}-learner-2"]))
    plan = reconcile(make_run(), World(children=(*before, job), token="t"), OTHERS, NOW)
    assert has_news(written(plan)[DEPLOYMENT])


def test_what_is_kept_is_read_as_it_was_written() -> None:
    deployment = children_of(make_run(), SETTINGS)[DEPLOYMENT]
    kept = read_pods(deployment["metadata"]["annotations"][PODS_ANNOTATION])
    assert kept is not None
    assert kept.template == deployment["spec"]["template"]
    assert kept.model_dump_json() == deployment["metadata"]["annotations"][PODS_ANNOTATION]
