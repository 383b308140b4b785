"""What keeps pods from getting ready, and how LearnersReady and GeneratorsReady say it."""

from typing import Any

import pytest

from grpo_contract.failure import PodReason
from grpo_operator.api.status import GeneratorStatus, GRPORunStatus
from grpo_operator.desired.manifest import Manifest
from grpo_operator.reconcile.conditions import set_conditions
from grpo_operator.reconcile.observed import ObservedChild, ObservedPod
from grpo_operator.reconcile.pod_trouble import (
    SET_UP_S,
    UNSCHEDULABLE_GRACE_S,
    first_trouble,
    seconds_until_settled,
    trouble_of,
)
from grpo_operator.reconcile.readiness import judge_generators, judge_learners, seconds_until_pods_are_missed
from grpo_operator.reconcile.world import sort_children
from unit.desired_inputs import make_run
from unit.observed_inputs import (
    NOW,
    ago,
    container,
    ended,
    failed_learner,
    failure_text,
    job_condition,
    make_deployment,
    make_job,
    make_pod,
    on_its_way_out,
    unready_generator,
    unschedulable,
)


def waiting(reason: str, role: str = "learner", last: Manifest | None = None, restarts: int = 0) -> ObservedPod:
    state = {"reason": reason, "message": "the kubelet's words"}
    return make_pod(role, phase="Pending", containers=(container(role, restarts, last, waiting=state),))


def being_set_up(since_s: float, status: str = "False") -> ObservedPod:
    condition = {"type": "PodReadyToStartContainers", "status": status, "lastTransitionTime": ago(since_s)}
    creating = container("learner", waiting={"reason": "ContainerCreating"})
    return make_pod(phase="Pending", containers=(creating,), status={"conditions": [condition]})


DRAINED = {
    "type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI", "message": "Eviction API: evicting",
}  # fmt: skip
TROUBLES: dict[str, tuple[ObservedPod, str | None, list[str]]] = {
    "ready": (make_pod(ready=True), None, []),
    "starting": (make_pod(), None, []),
    "being created": (waiting("ContainerCreating"), None, []),
    "being set up": (being_set_up(SET_UP_S - 1), None, []),
    "being set up for long": (being_set_up(SET_UP_S), "PodNotSetUp", ["kubectl describe pod math-learner-1-0-x", "learners.podTemplate"]),
    "set up, and pulling a large image": (being_set_up(SET_UP_S, "True"), None, []),
    "without a volume": (
        unschedulable(UNSCHEDULABLE_GRACE_S, message="0/2 nodes are available: pod has unbound immediate PersistentVolumeClaims."),
        "Unschedulable", ["StorageReady"],
    ),
    "image pull": (waiting("ImagePullBackOff"), "ImagePullFailed", ["'trainer:1'", "learners.image, and delete the learners' Job", "the kubelet's words"]),
    "first image pull": (waiting("ErrImagePull", "generator"), "ImagePullFailed", ["generators.image."]),
    "image name": (waiting("InvalidImageName"), "ImagePullFailed", ["learners.image"]),
    "config": (waiting("CreateContainerConfigError"), "ContainerConfigError", ["learners.env", "learners.podTemplate"]),
    "not yet unschedulable for long": (unschedulable(UNSCHEDULABLE_GRACE_S - 1), None, []),
    "unschedulable": (
        unschedulable(UNSCHEDULABLE_GRACE_S), "Unschedulable", ["Insufficient nvidia.com/gpu", "learners.gpus", "nodeSelector"],
    ),
    "crash loop": (
        waiting("CrashLoopBackOff", "generator", ended(1, text=failure_text("GeneratorError", "No such dtype.")), 3),
        "CrashLoop", ["ended 3 times", "No such dtype", "kubectl logs --previous"],
    ),
    "crash loop without a word": (waiting("CrashLoopBackOff", "generator", ended(2), 3), "CrashLoop", ["exit code 2"]),
    "out of memory, waiting": (
        waiting("CrashLoopBackOff", "generator", ended(137, "OOMKilled"), 1),
        "OOMKilled", ["generators.resources.limits.memory", "vllm_max_model_length"],
    ),
    "out of memory, started again": (
        make_pod("generator", containers=(container("generator", 1, ended(137, "OOMKilled"), running={}),)),
        "OOMKilled", ["generators.resources.limits.memory"],
    ),
    "a generator that was killed": (
        make_pod("generator", containers=(container("generator", terminated=ended(137)),)),
        "GeneratorEnded", ["math-generator-x-0", "exit code 137", "kubectl logs --previous math-generator-x-0 -c generator"],
    ),
    "a generator that was killed and loads anew": (
        make_pod("generator", containers=(container("generator", 1, ended(137), running={}),)), "GeneratorEnded", ["137"],
    ),
    "a generator that was killed and answers": (
        make_pod("generator", ready=True, containers=(container("generator", 1, ended(137), running={}),)), None, [],
    ),
    "a generator that waits for its first weights": (unready_generator(since_s=40), None, []),
    "a generator that was ready": (
        unready_generator(since_s=39), "GeneratorNotReady",
        [
            "Pod math-generator-x-0 runs and is not ready any more", "weights", "503",
            "`kubectl describe pod math-generator-x-0`", "`kubectl logs math-generator-x-0 -c generator`",
        ],
    ),
    "a generator that was killed, and waits for its first weights since": (
        unready_generator(since_s=42, last=ended(137)), "GeneratorEnded", ["exit code 137"],
    ),
    "a generator that was killed, and was ready since": (
        unready_generator(since_s=20, last=ended(137, "OOMKilled")), "GeneratorNotReady", ["not ready any more"],
    ),
    "a generator that is being deleted": (
        make_pod("generator", ready=True, deletionTimestamp=ago(0)), "GeneratorReplaced", ["math-generator-x-0", "deleted"],
    ),
    "a generator that is being evicted and answers still": (
        make_pod(
            "generator", ready=True, deletionTimestamp=ago(-30),
            status={"conditions": [{"type": "Ready", "status": "True"}, DRAINED]},
        ),
        "Disrupted", ["Eviction API"],
    ),
    "a learner that is being deleted": (make_pod(ready=True, deletionTimestamp=ago(0)), None, []),
    "a learner that has ended": (failed_learner(), None, []),
    "a mistake of a generator": (
        waiting("CrashLoopBackOff", "generator", ended(78, text=failure_text("InvalidRecipe", "No such dtype.")), 1),
        "GeneratorMisconfigured", ["No such dtype", "generators.env"],
    ),
    "a mistake of a generator that was started again": (
        make_pod("generator", containers=(container("generator", 1, ended(78), running={}),)),
        "GeneratorMisconfigured", ["exit code 78"],
    ),
    "the same number from a sidecar": (
        make_pod("generator", containers=(container("proxy", 1, ended(78), running={}),)), None, [],
    ),
    "out of memory once, ready again": (
        make_pod("generator", ready=True, containers=(container("generator", 1, ended(137, "OOMKilled"), running={}),)),
        None, [],
    ),
    "evicted": (make_pod(phase="Failed", status={"reason": "Evicted", "message": "Low on memory."}), "Disrupted", ["Low on memory"]),
}  # fmt: skip


@pytest.mark.parametrize("case", TROUBLES)
def test_trouble(case: str) -> None:
    pod, reason, words = TROUBLES[case]
    trouble = trouble_of(pod, NOW)
    assert (trouble.reason.value if trouble else None) == reason
    for word in words:
        assert trouble is not None
        assert word in trouble.message


def test_the_same_trouble_is_told_once() -> None:
    trouble = first_trouble([waiting("ErrImagePull"), make_pod(), waiting("ImagePullBackOff")], NOW)
    assert trouble is not None
    assert trouble.message.startswith("2 of 3 pods: Pod math-learner-1-0-x cannot get image 'trainer:1'")


@pytest.mark.parametrize(("gone_in_s", "reason"), [(100, "GeneratorReplaced"), (-1, "Unschedulable")])
def test_a_generator_that_waits_for_the_place_of_one_that_leaves_is_no_trouble(gone_in_s: float, reason: str) -> None:
    """It finishes what it writes, and holds its GPU for so long. Past its time it holds it for another reason."""
    leaving = make_pod("generator", 1, deletionTimestamp=ago(-gone_in_s))
    trouble = first_trouble([unschedulable(since_s=60, role="generator"), leaving], NOW)
    assert trouble is not None
    assert trouble.reason == reason


def test_what_passes_by_itself_comes_last() -> None:
    deleted = make_pod("generator", index=0, deletionTimestamp=ago(0))
    homeless = unschedulable(UNSCHEDULABLE_GRACE_S, "generator")
    trouble = first_trouble([deleted, homeless, deleted], NOW)
    assert trouble is not None
    assert trouble.reason == "Unschedulable"


def test_time_until_a_pod_is_spoken_of() -> None:
    young, younger = unschedulable(UNSCHEDULABLE_GRACE_S - 1), unschedulable(UNSCHEDULABLE_GRACE_S - 4)
    assert seconds_until_settled([make_pod(), young, younger], NOW) == 1
    assert seconds_until_settled([make_pod(), unschedulable(UNSCHEDULABLE_GRACE_S)], NOW) is None
    assert seconds_until_settled([being_set_up(SET_UP_S - 3), being_set_up(SET_UP_S)], NOW) == 3


REPLICA_FAILURE = {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota"}
FINISHED = make_pod(index=1, phase="Succeeded")
GENERATOR = make_pod("generator", ready=True)
KILLED_GENERATOR = make_pod("generator", 1, containers=(container("generator", terminated=ended(137)),))
READINESS: dict[str, tuple[str, list[ObservedChild], tuple[str, str]]] = {
    "no learner yet": ("learners", [make_job(age_s=9)], ("False", "Starting")),
    "no learner for long": ("learners", [make_job(age_s=10)], ("False", "PodsNotCreated")),
    "a Job whose turn has not come": ("learners", [make_job(age_s=59, is_started=False)], ("False", "Starting")),
    "a Job to which nobody comes": ("learners", [make_job(age_s=60, is_started=False)], ("False", "PodsNotCreated")),
    "one of two learners": ("learners", [make_job(), make_pod(ready=True), make_pod(index=1)], ("False", "Starting")),
    "a second learner that is not there yet": ("learners", [make_job(age_s=9), make_pod(ready=True)], ("False", "Starting")),
    "a second learner that does not come": (
        "learners", [make_job(age_s=10), make_pod(ready=True)], ("False", "PodsNotCreated"),
    ),
    "a learner that was deleted, before its Job knows": (
        "learners", [make_job(counts={"active": 2}), make_pod(ready=True)], ("False", "Starting"),
    ),
    "a learner that was deleted, and its Job knows": (
        "learners", [make_job(counts={"active": 1, "failed": 1}), make_pod(ready=True)], ("False", "Starting"),
    ),
    "a learner that is being deleted": (
        "learners", [make_job(), make_pod(ready=True), make_pod(index=1, deletionTimestamp=ago(-30), deletionGracePeriodSeconds=30)],
        ("False", "LearnerPodLost"),
    ),
    "a learner that is being deleted, and a neighbour that missed it": (
        "learners",
        [make_job(), failed_learner(at_s=10), make_pod(index=1, deletionTimestamp=ago(-19), deletionGracePeriodSeconds=30)],
        ("False", "LearnerPodLost"),
    ),
    "a learner that failed, and a neighbour that the Job deletes": (
        "learners",
        [make_job(), failed_learner(at_s=10), make_pod(index=1, deletionTimestamp=ago(-21), deletionGracePeriodSeconds=30)],
        ("False", "Starting"),
    ),
    "a learner that failed in the second of a neighbour's deletion": (
        "learners",
        [make_job(), failed_learner(at_s=10), make_pod(index=1, deletionTimestamp=ago(-20), deletionGracePeriodSeconds=30)],
        ("False", "Starting"),
    ),
    "a learner that the failed Job deletes": (
        "learners",
        [make_job(conditions=(job_condition("FailureTarget"),)), make_pod(index=1, deletionTimestamp=ago(-30))],
        ("False", "PodsNotCreated"),
    ),
    "learners on their way out": ("learners", [make_job(counts={"terminating": 1, "succeeded": 1})], ("False", "Starting")),
    "a quota for one learner": (
        "learners", [make_job(counts={"active": 1}), make_pod(ready=True)], ("False", "PodsNotCreated"),
    ),
    "both learners": ("learners", [make_job(), make_pod(ready=True), make_pod(index=1, ready=True)], ("True", "AllReady")),
    "a learner that has finished": ("learners", [make_job(), make_pod(ready=True), FINISHED], ("True", "AllReady")),
    "learners of an earlier attempt": ("learners", [make_job(2), make_pod(ready=True)], ("False", "PodsNotCreated")),
    "no generator yet": ("generators", [], ("False", "Starting")),
    "one of two generators": (
        "generators", [make_deployment(), GENERATOR, make_pod("generator", 1)], ("False", "Starting"),
    ),
    "both generators": ("generators", [make_deployment(), GENERATOR, make_pod("generator", 1, ready=True)], ("True", "AllReady")),
    "one of two generators was killed": (
        "generators", [make_deployment(), GENERATOR, KILLED_GENERATOR], ("False", "GeneratorEnded"),
    ),
    "one of two generators was ready": (
        "generators", [make_deployment(), GENERATOR, unready_generator(1, since_s=20)], ("False", "GeneratorNotReady"),
    ),
    "one is being deleted and answers still": (
        "generators",
        [make_deployment(), GENERATOR, make_pod("generator", 1, ready=True, deletionTimestamp=ago(-30))],
        ("False", "GeneratorReplaced"),
    ),
    "generators that cannot be created": (
        "generators", [make_deployment(conditions=(REPLICA_FAILURE,))], ("False", "PodsNotCreated"),
    ),
    "a generator that is unschedulable": (
        "generators", [make_deployment(), unschedulable(UNSCHEDULABLE_GRACE_S, "generator")], ("False", "Unschedulable"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", READINESS)
def test_readiness(case: str) -> None:
    role, observed, expected = READINESS[case]
    run = make_run(learners={"replicas": 2}, generators={"replicas": 2})
    attempt = max((child.attempt for child in observed if hasattr(child, "attempt") and child.kind == "Job"), default=1)
    children = sort_children(run, observed, attempt)
    judge = judge_learners if role == "learners" else judge_generators
    statement = judge(run, children, NOW)
    assert (statement.status, statement.reason) == expected


def test_a_generator_that_was_ready_and_is_gone_is_replaced() -> None:
    run = make_run(generators={"replicas": 2})
    run = run.model_copy(update={"status": GRPORunStatus(generators=GeneratorStatus(ready=2))})
    statement = judge_generators(run, sort_children(run, [make_deployment(), GENERATOR], 1), NOW)
    assert (statement.status, statement.reason) == ("False", "GeneratorReplaced")
    assert statement.message == "1 of 2 generators are ready: one that was is gone, and another takes its place."


def test_a_deletion_that_was_told_before_a_neighbour_ended_in_its_second_stays_told() -> None:
    deleted = make_pod(index=1, deletionTimestamp=ago(-20), deletionGracePeriodSeconds=30)
    run = make_run(learners={"replicas": 2})
    told = judge_learners(run, sort_children(run, [make_job(), make_pod(ready=True), deleted], 1), NOW)
    run = run.model_copy(update={"status": GRPORunStatus(conditions=set_conditions([], [told], 1, NOW))})
    assert judge_learners(run, sort_children(run, [make_job(), failed_learner(at_s=10), deleted], 1), NOW) == told


def test_learners_that_do_not_come_are_counted() -> None:
    run = make_run(learners={"replicas": 4})
    message = judge_learners(run, sort_children(run, [make_job(), make_pod(), make_pod(index=1)], 1), NOW).message
    assert message.startswith("2 of 4 learner pods are created: `kubectl describe job math-learner-1`")
    assert "quota" in message


MISSED: dict[str, tuple[list[ObservedChild], float | None]] = {
    "no Job": ([], None),
    "none": ([make_job(age_s=4)], 6),
    "one of two": ([make_job(age_s=4), make_pod()], 6),
    "both": ([make_job(age_s=4), make_pod(), make_pod(index=1)], None),
    "missed already": ([make_job(age_s=11)], None),
    "both gone": ([make_job(age_s=4, counts={"failed": 2})], None),
}


@pytest.mark.parametrize("case", MISSED)
def test_time_until_pods_are_missed(case: str) -> None:
    observed, expected = MISSED[case]
    run = make_run(learners={"replicas": 2})
    assert seconds_until_pods_are_missed(run, sort_children(run, observed, 1), NOW) == expected


RUN_OF_TWO = make_run(learners={"replicas": 2})
ENDED: dict[str, Any] = {"containers": (container(terminated=ended(143, "Error", "", 4)),)}
FOLLOWED_WORD = failure_text(PodReason.LEARNER_ASKED_TO_END, "Another was.", follows=True)
FOLLOWED: dict[str, Any] = {"containers": (container(terminated=ended(143, "Error", FOLLOWED_WORD, 4)),)}
DELETED_LEARNERS: dict[str, tuple[list[ObservedPod], str | None]] = {
    "the one that was deleted first": ([on_its_way_out(0, asked_s=4), on_its_way_out(1, asked_s=6)], "1"),
    "in the same second, the one that has ended: only then the Job deletes others": (
        [on_its_way_out(0, asked_s=4), on_its_way_out(1, asked_s=4, **ENDED)], "1",
    ),
    "nobody is known in the same second, before one of them has ended": (
        [on_its_way_out(0, asked_s=4), on_its_way_out(1, asked_s=4)], None,
    ),
    "in the same second, in which both have ended: the one that does not say that it followed": (
        [on_its_way_out(0, asked_s=4, **FOLLOWED), on_its_way_out(1, asked_s=4, **ENDED)], "1",
    ),
    "in the same second in which another followed it, and has ended": (
        [make_pod(index=0, **FOLLOWED), on_its_way_out(1, asked_s=4, **ENDED)], "1",
    ),
    "nobody is known, when the one that was deleted is gone": ([on_its_way_out(0, asked_s=4)], None),
}  # fmt: skip


@pytest.mark.parametrize("case", DELETED_LEARNERS)
def test_which_learner_was_deleted(case: str) -> None:
    """By somebody, not by the Job, whose own news may come after that of its pods."""
    learners, index = DELETED_LEARNERS[case]
    job = make_job(counts={"active": 2})
    statement = judge_learners(RUN_OF_TWO, sort_children(RUN_OF_TWO, [job, *learners], 1), NOW)
    assert statement.message == (
        f"Pod math-learner-1-{index}-x was deleted." if index else "0 of 2 learners are ready."
    )


def test_the_deletion_of_a_learner_stays_told_when_it_is_gone() -> None:
    job = make_job(counts={"active": 2})
    first = sort_children(RUN_OF_TWO, [job, make_pod(ready=True), on_its_way_out(1, asked_s=6)], 1)
    told = judge_learners(RUN_OF_TWO, first, NOW)
    run = RUN_OF_TWO.model_copy(update={"status": GRPORunStatus(conditions=set_conditions([], [told], 1, NOW))})
    assert judge_learners(run, sort_children(run, [job, on_its_way_out(0, asked_s=4)], 1), NOW) == told
    of_next_attempt = sort_children(run, [make_job(2), make_pod(attempt=2), make_pod(index=1, attempt=2)], 2)
    assert judge_learners(run, of_next_attempt, NOW).reason == "Starting"
