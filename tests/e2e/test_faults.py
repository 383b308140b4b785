"""A run survives its pods, and nothing of it touches others: one run loses a generator, one beside it a learner, and one in
another namespace, which has the name of the first, its operator.
"""

import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest

from cluster.cgroups import kill, processes_of_pod
from grpo_contract.files import SCRATCH
from harness.demo_runs import small_run
from harness.kubectl import Kubectl, Manifest
from harness.namespaces import namespaces_with_volume
from harness.operator_pod import kill_operator
from harness.outages import wait_through_outages
from harness.prometheus import Prometheus, Raised
from harness.runs import (
    ALL_KINDS,
    RESUMED,
    children,
    hold,
    last_words,
    log_of,
    owners_of,
    phase,
    pods,
    release,
    wait_for_phase,
    wait_for_run,
    wait_for_step,
    wait_until_all_ready,
    warnings_of,
)

STEPS = 12
"""So many that no run ends before it was hurt, as slow as the gate makes them."""
START_S = 400
RUN_S = 700
STEP = re.compile(rf"step (\d+)/{STEPS}  reward ")

GATE = SCRATCH / "gate-is-open"
GATE_CODE = f"""
import os, time

hold_s = 1

def held(completions, **columns):
    time.sleep(1)
    return hold(completions, at_most_s=50)

def shut(completions, **columns):
    return hold(completions, at_most_s={START_S + RUN_S})

def hold(completions, at_most_s):
    global hold_s
    hold_s = min(2 * hold_s, at_most_s)
    ends_at = time.monotonic() + hold_s
    while time.monotonic() < ends_at and not os.path.exists("{GATE}"):
        time.sleep(0.1)
    return [0.0] * len(completions)

def slow(completions, **columns):
    time.sleep(1)
    return [0.0] * len(completions)
"""
"""Rewards that make steps slow. `held` and `shut`, until the test opens the gate. `held` goes on by steps, since a newcomer is
given the weights between two of them, and by short ones first: its run is there for longer than START_S. Then each still takes
a second, so that steps are left in which a killed generator is missed. A run that is `shut` has no newcomer, and outlasts another
run's start and end."""


def slowed(by: str) -> dict[str, Any]:
    return {
        "recipe": {"reward_funcs": ["accuracy", "format", "tag_count", f"gate:{by}"]},
        "rewards": {"from": [{"configMap": {"name": "gate"}}], "timeoutSeconds": START_S + RUN_S + 60},
    }


@dataclass(frozen=True)
class Hurt:
    run: Manifest
    """When it had succeeded."""
    log: str
    """Of learner 0 in its last attempt."""
    victim: str
    """The pod that was hurt."""
    warnings: list[tuple[str, str]]
    """Reason and note of each."""
    owners: set[str]
    """Uids of whose the children are that carry the run's name."""


@dataclass(frozen=True)
class HurtInGenerator(Hurt):
    killed_s: float
    """Seconds since the epoch."""


@dataclass(frozen=True)
class HurtInLearner(Hurt):
    checkpoint_step: int
    """Of the newest checkpoint that was told of when the learner was deleted."""
    generators: tuple[set[str], set[str]]
    """Their uids: before that, and when the second attempt made steps."""
    children: set[str]


@dataclass(frozen=True)
class Namesake:
    """The run whose pods nobody hurt."""

    run: Manifest
    """When it had succeeded."""
    owners: set[str]
    children: tuple[set[str], set[str]]
    """Before and after the run of the same name was deleted; it still trained."""


@dataclass(frozen=True)
class Hurts:
    max_staleness: int
    generator: HurtInGenerator
    learner: HurtInLearner
    namesake: Namesake
    started: float


@pytest.fixture(scope="module", params=[0, 1], ids=["in-turns", "overlapped"])
def hurt(request: pytest.FixtureRequest, cluster: Kubectl, demo_namespace: Kubectl) -> Iterator[Hurts]:
    """All three start at once; generation and learning take turns, or generators write a batch ahead."""
    staleness, started = {"maxStaleness": request.param}, time.time()
    with namespaces_with_volume(cluster, demo_namespace) as make_namespace, ThreadPoolExecutor() as pool:
        kubectl, elsewhere = make_namespace(), make_namespace()
        gate = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "gate"}, "data": {"gate.py": GATE_CODE}}
        kubectl.apply(
            gate,
            small_run("less-generators", STEPS, generators={"replicas": 2} | staleness, **slowed("held")),
            small_run(
                "less-learners",
                STEPS,
                learners={"replicas": 2},
                generators=staleness,
                checkpoint={"everySteps": 3},
                **slowed("slow"),
            ),
        )
        elsewhere.apply(gate, small_run("less-generators", STEPS, generators=staleness, **slowed("shut")))
        less_generators = pool.submit(kill_a_generator, kubectl, "less-generators")
        less_learners = pool.submit(delete_a_learner, kubectl, "less-learners")
        wait_until_all_ready(elsewhere, "less-generators", START_S)
        generator, learner = less_generators.result(), less_learners.result()
        namesake = outlive_namesake(cluster, kubectl, elsewhere, "less-generators")
        yield Hurts(request.param, generator, learner, namesake, started)


def kill_a_generator(kubectl: Kubectl, name: str) -> HurtInGenerator:
    """kill -9 from outside: inside of the pod nobody may kill process 1. The other one is there by then."""
    wait_until_all_ready(kubectl, name, START_S)
    open_gate(kubectl, name)
    wait_for_step(kubectl, name, 1, START_S)
    victim, killed_s = pods(kubectl, name, "generator")[0], time.time()
    kill(processes_of_pod(victim["metadata"]["uid"]))
    run = wait_for_phase(kubectl, name, "Succeeded", RUN_S)
    return HurtInGenerator(
        run,
        learner_log(kubectl, name),
        victim["metadata"]["name"],
        warnings_of(kubectl, name),
        owners_of(kubectl, name),
        killed_s=killed_s,
    )


def outlive_namesake(cluster: Kubectl, kubectl: Kubectl, elsewhere: Kubectl, name: str) -> Namesake:
    """Delete the run in the first namespace while the one in the other trains, then the operator, and let it go on."""
    before = set(children(elsewhere, name))
    kubectl("delete", "grporun", name, "--timeout=60s")
    wait_through_outages("the end of its children", lambda: not children(kubectl, name, ALL_KINDS), 60)
    after = set(children(elsewhere, name))
    assert phase(elsewhere.get("grporun", name)) == "Running"
    kill_operator(cluster)
    open_gate(elsewhere, name)
    run = wait_for_phase(elsewhere, name, "Succeeded", RUN_S)
    return Namesake(run, owners_of(elsewhere, name), (before, after))


def open_gate(kubectl: Kubectl, name: str) -> None:
    (learner,) = pods(kubectl, name, "learner")
    kubectl("exec", learner["metadata"]["name"], "--", "python", "-c", f"open('{GATE}', 'w')")


def delete_a_learner(kubectl: Kubectl, name: str) -> HurtInLearner:
    wait_for_step(kubectl, name, 1, START_S)
    checkpoint = wait_for_run(kubectl, name, "with a checkpoint", lambda run: run["status"].get("checkpoint"), START_S)
    warm = generator_uids(kubectl, name)
    pod = pods(kubectl, name, "learner")[1]
    victim = pod["metadata"]["name"]
    hold(kubectl, pod)  # it is gone in a few seconds, and an operator on busy cores may look after that
    try:
        kubectl("delete", "pod", victim, "--wait=false")
        wait_for_run(kubectl, name, "in steps of the second attempt", trains_again, START_S)
    finally:
        release(kubectl, pod)
    still_warm = generator_uids(kubectl, name)
    run = wait_for_phase(kubectl, name, "Succeeded", RUN_S)
    return HurtInLearner(
        run,
        learner_log(kubectl, name),
        victim,
        warnings_of(kubectl, name),
        owners_of(kubectl, name),
        checkpoint_step=checkpoint["step"],
        generators=(warm, still_warm),
        children=set(children(kubectl, name)),
    )


def trains_again(run: Manifest) -> bool:
    return run["status"]["attempt"] == 2 and phase(run) == "Running"


def generator_uids(kubectl: Kubectl, name: str) -> set[str]:
    return {pod["metadata"]["uid"] for pod in pods(kubectl, name, "generator")}


def learner_log(kubectl: Kubectl, name: str) -> str:
    pod = pods(kubectl, name, "learner")[0]
    assert last_words(pod)["exitCode"] == 0
    return log_of(kubectl, pod)


def test_a_killed_generator_costs_no_step(hurt: Hurts) -> None:
    run = hurt.generator
    assert [int(step) for step in STEP.findall(run.log)] == list(range(1, STEPS + 1))
    assert run.run["status"]["attempt"] == 1
    assert [reason for reason, _ in run.warnings] == ["GeneratorEnded"], run.warnings
    assert f"Pod {run.victim} ended (exit code 137)" in run.warnings[0][1]


def test_a_deleted_learner_resumes_from_the_newest_checkpoint(hurt: Hurts) -> None:
    run = hurt.learner
    assert run.run["status"]["progress"]["step"] == STEPS
    assert (run.run["status"]["disruptions"], run.run["status"]["learners"]["restarts"]) == (1, 0)
    (resumed_at,) = map(int, RESUMED.findall(run.log))
    assert run.checkpoint_step <= resumed_at < STEPS
    assert [int(step) for step in STEP.findall(run.log)] == list(range(resumed_at + 1, STEPS + 1))
    assert "Job/less-learners-learner-1" not in run.children
    assert [reason for reason, _ in run.warnings] == ["LearnerPodLost"], run.warnings
    assert f"Pod {run.victim} was deleted." in run.warnings[0][1]


def test_generators_stay_warm_when_learners_start_again(hurt: Hurts) -> None:
    before, after = hurt.learner.generators
    assert before == after
    assert len(before) == 1


def test_runs_do_not_touch_each_other(hurt: Hurts) -> None:
    """Two in one namespace, two of one name: each has children and a folder of its own, and no part in what hurts others."""
    runs = [hurt.generator.run, hurt.learner.run, hurt.namesake.run]
    assert len({run["status"]["output"] for run in runs}) == 3
    assert [run["status"]["progress"]["step"] for run in runs] == [STEPS] * 3
    assert [run["status"]["attempt"] for run in runs] == [1, 2, 1]
    owners = [hurt.generator.owners, hurt.learner.owners, hurt.namesake.owners]
    assert owners == [{run["metadata"]["uid"]} for run in runs]
    before, after = hurt.namesake.children
    assert before == after
    assert {"Job/less-generators-learner-1", "Deployment/less-generators-generator"} <= before


def test_nothing_was_learnt_from_that_is_older_than_allowed(hurt: Hurts, prometheus: Prometheus) -> None:
    """By what Prometheus holds of each run, whatever happened to its pods."""

    def largest(run: Manifest, metric: str, matcher: str = "") -> float:
        labels = f'namespace="{run["metadata"]["namespace"]}",run="{run["metadata"]["name"]}",{matcher}'
        (found,) = prometheus.query(f"max(max_over_time({metric}{{{labels}}}[{int(time.time() - hurt.started)}s]))")
        return float(found["value"][1])

    for run in (hurt.generator.run, hurt.learner.run, hurt.namesake.run):
        assert largest(run, "grpo_too_stale_completions_total") == 0
        assert largest(run, "grpo_staleness_versions", 'stat="max"') == hurt.max_staleness


def test_alerts_name_the_lost_generator_and_nothing_else(hurt: Hurts, prometheus: Prometheus) -> None:
    """It is back before it has been missed for as long as the alert says."""

    def raised(run: Manifest, since: float) -> set[Raised]:
        return prometheus.raised(since, namespace=run["metadata"]["namespace"], run=run["metadata"]["name"])

    assert Raised("GRPOGeneratorsLost", "warning", "pending") in raised(hurt.generator.run, hurt.generator.killed_s)
    of_all = [raised(each.run, hurt.started) for each in (hurt.generator, hurt.learner, hurt.namesake)]
    assert {each for each in set().union(*of_all) if (each.severity, each.state) == ("critical", "firing")} == set()
