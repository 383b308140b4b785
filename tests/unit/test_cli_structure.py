"""Sentences about a manifest that does not fit the CRD's schema, beyond those of recipes."""

from typing import Any

import pytest

from grpo_cli.check import Known, check_run
from grpo_cli.finding import Level
from grpo_cli.product import product
from unit.cli_inputs import report_of, run_of, said

ENV = [{"name": "A", "value": "secret"}, {"name": "A", "value": "other"}]
SENTENCES: list[tuple[dict[str, Any], str]] = [
    ({"learner": {}}, "spec.learner: no such field in a GRPORun; did you mean learners?"),
    ({"learners": {"replica": 2}}, "spec.learners.replica: no such field in a GRPORun; did you mean replicas?"),
    ({"learners": 8}, "spec.learners is 8, but it takes keys and values; correct it."),
    ({"learners": {"gpus": "8"}}, 'spec.learners.gpus is "8", but it takes a whole number; leave out the quotes.'),
    ({"storage": {"retain": "yes"}}, 'spec.storage.retain is "yes", but it takes true or false; leave out the quotes.'),
    ({"storage": {"size": 500}}, 'spec.storage.size is 500, but it takes text; put it in quotes, as in "500".'),
    ({"learners": {"env": [{"value": "1"}]}}, "spec.learners.env[0].name is missing; add it."),
    ({"storage": {"size": ""}}, "spec.storage.size is empty; fill it in or leave it out."),
    (
        {"storage": {"accessModes": []}},
        "spec.storage.accessModes has 0 entries; list 1 or more.",
    ),
    (
        {"storage": {"accessModes": ["ReadWriteOnce"] * 5}},
        "spec.storage.accessModes has 5 entries; list 4 or less.",
    ),
    (
        {"learners": {"env": ENV}},
        "spec.learners.env[1] is called 'A', as an entry before it is; keep one of them.",
    ),
    (
        {"learners": {"resources": {"limits": {"memory": "64 GB"}}}},
        'spec.learners.resources.limits.memory is "64 GB", which is no quantity; write it as in 500m, 2 or 16Gi.',
    ),
    (
        {"learners": {"resources": {"limits": {"memory": [64]}}}},
        "spec.learners.resources.limits.memory is [64], but it takes a whole number or text; correct it.",
    ),
    (
        {"learners": {"priorityClassName": "x" * 254}},
        "spec.learners.priorityClassName has 254 characters, and 253 is the most; shorten it.",
    ),
    (
        {"learners": {"podTemplate": {"spec": "hostNetwork: true, dnsPolicy: ClusterFirstWithHostNet, more and more"}}},
        'spec.learners.podTemplate.spec is "hostNetwork: true, dnsPolicy: ClusterFirstWithHostNet, more..., but it takes '
        "keys and values; correct it.",
    ),
    (
        {"recipeDefaults": "trl-0.15"},
        'spec.recipeDefaults is "trl-0.15", which is none of trl-0.14, trl-0.16, trl-0.18, current; did you mean '
        "trl-0.18?",
    ),
]


@pytest.mark.parametrize(("spec", "sentence"), SENTENCES, ids=[sentence.split(" ")[0] for _, sentence in SENTENCES])
def test_a_misfit_has_one_sentence(spec: dict[str, Any], sentence: str) -> None:
    assert [found for _, found in said(report_of(run_of(**spec)), Level.ERROR)] == [sentence]


def test_a_name_is_needed() -> None:
    run = run_of() | {"metadata": {}}
    assert said(report_of(run)) == [("metadata.name", "metadata.name is missing; choose one.")]
    assert said(report_of(run | {"metadata": {"generateName": "math-"}})) == []
    assert [field for field, _ in said(report_of(run | {"metadata": {"generateName": "7b-"}}))] == [""]


@pytest.mark.parametrize("spec", [None, "recipe", [], {"recipe": "a"}, {"recipe": {}, "storage": []}])
def test_nothing_that_yaml_can_hold_breaks_it(spec: Any) -> None:
    report = check_run({"metadata": {"name": "a"}, "spec": spec}, Known(), product())
    assert report.has_errors
    assert report.plan is None


def test_what_is_refused_is_said_once() -> None:
    """The API server judges rules only when all types fit; here those are left out that look at what is refused."""
    run = run_of({"reward_funcs": "accuracy", "reward_weights": [1, 2], "max_steps": 0})
    assert [field for field, _ in said(report_of(run), Level.ERROR)] == [
        "spec.recipe.reward_funcs",
        "spec.recipe.max_steps",
    ]


# (metadata, spec, recipe, fields that are refused)
BESIDE: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any], list[str]]] = [
    (
        {"name": "7B"},
        {"learners": {"env": [{"value": "1"}]}},
        {},
        ["spec.learners.env[0].name", ""],
    ),
    (
        {},
        {"storage": {"size": 500}},
        {"reward_weights": [1, 2, 3]},
        ["spec.storage.size", "spec.recipe.reward_weights"],
    ),
    ({}, {"storage": {"size": 500, "claimName": "a"}}, {}, ["spec.storage.size"]),
    ({}, {"generators": {"gpus": "0"}}, {}, ["spec.generators.gpus"]),
    (
        {},
        {"generators": {"gpus": "1"}, "learners": {"gpus": 1, "processes": 2}},
        {},
        ["spec.generators.gpus", "spec.learners.processes"],
    ),
    ({}, {"learners": []}, {}, ["spec.learners"]),
    ({}, {}, {"reward_funcs": [5, "acuracy"]}, ["spec.recipe.reward_funcs[0]", "spec.recipe.reward_funcs[1]"]),
]


@pytest.mark.parametrize(("metadata", "spec", "recipe", "fields"), BESIDE, ids=lambda value: str(value)[:30])
def test_a_refused_field_hides_the_rules_that_look_at_it_and_no_other(
    metadata: dict[str, Any], spec: dict[str, Any], recipe: dict[str, Any], fields: list[str]
) -> None:
    run = run_of(recipe, **spec) | {"metadata": {"name": "a"} | metadata}
    assert [field for field, _ in said(report_of(run), Level.ERROR)] == fields
