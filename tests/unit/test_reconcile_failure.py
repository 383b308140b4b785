"""Why an attempt failed, told from what its pods left."""

from dataclasses import replace
from datetime import timedelta

import pytest

from grpo_contract.failure import USER_ERROR_EXIT_CODE, PodReason
from grpo_operator.api.status import ConditionType
from grpo_operator.reconcile.failure import (
    Cause,
    cause_of,
    lost_learner,
    should_restart,
    users_mistake_in,
    with_generators_taken,
    witnessed_loss,
)
from grpo_operator.reconcile.observed import JobFailure, ObservedPod
from grpo_operator.reconcile.restart import pause_s, seconds_to_wait
from unit.observed_inputs import (
    NOW,
    ago,
    container,
    ended,
    failed_learner,
    failure_text,
    make_condition,
    make_pod,
    on_its_way_out,
    unschedulable,
)

FAILURE = JobFailure(reason="BackoffLimitExceeded", message="limit.", since=NOW - timedelta(seconds=10))
RENDEZVOUS = failure_text(PodReason.RENDEZVOUS_TIMEOUT, "Learner 1 did not come.")
ASKED = failure_text(PodReason.LEARNER_ASKED_TO_END, "Step 7 is saved.")
FOLLOWED = failure_text(PodReason.LEARNER_ASKED_TO_END, "Another was.", follows=True)
LEFT = failure_text(PodReason.LEARNER_ERROR, "Learner 0 left.", follows=True)
OUT_OF_TIME = failure_text(PodReason.COLLECTIVE_TIMEOUT, "No progress.")
LOST_IT = failure_text(PodReason.LEARNER_ERROR, "Connection closed.")
MISTAKE = failure_text(PodReason.DATASET_NOT_FOUND, "recipe.dataset_name: correct it.")


def evicted(index: int) -> ObservedPod:
    gone = {"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI", "message": "Drained."}
    return failed_learner(index, exit_code=143, at_s=30, status={"phase": "Failed", "conditions": [gone]})


def deleted(index: int, asked_s: float, ended_s: float, text: str = "") -> ObservedPod:
    """Deleted `asked_s` ago with a grace period of 30 s."""
    return failed_learner(
        index,
        exit_code=143,
        at_s=ended_s,
        text=text,
        deletionTimestamp=ago(asked_s - 30),
        deletionGracePeriodSeconds=30,
    )


def taken_away(index: int, ended_s: float, gone_s: float, text: str = "", exit_code: int = 143) -> ObservedPod:
    """Ended before it was deleted, or by it: its kubelet has put the date of that in place of the one that was asked for."""
    return failed_learner(
        index,
        exit_code=exit_code,
        at_s=ended_s,
        text=text,
        deletionTimestamp=ago(gone_s),
        deletionGracePeriodSeconds=0,
    )


def on_silent_node(since_s: float, ready_reason: str = "", containers_ready: str = "True") -> ObservedPod:
    """Learner 1, which was ready until then."""
    ready = {"type": "Ready", "status": "False", "lastTransitionTime": ago(since_s), "reason": ready_reason}
    of_containers = {"type": "ContainersReady", "status": containers_ready, "lastTransitionTime": ago(90)}
    return make_pod(index=1, node="n1", status={"conditions": [ready, of_containers]}, deletionTimestamp=ago(-20))


CASES: dict[str, tuple[list[ObservedPod], str, str]] = {
    "who missed a learner on a node that had gone silent": (
        [failed_learner(0, text=LOST_IT, at_s=15), on_silent_node(30)],
        "LearnerNodeLost", "Node n1 has not answered since 2026-06-01T11:59:30Z, and other learners missed pod math-learner-1-1-x",
    ),
    "who waited for a learner on a node that had gone silent": (
        [failed_learner(0, text=OUT_OF_TIME, at_s=15), on_silent_node(30)],
        "LearnerNodeLost", "`kubectl delete node n1`",
    ),
    "a mistake beside a silent node": (
        [failed_learner(0, exit_code=USER_ERROR_EXIT_CODE, text=MISTAKE, at_s=15), on_silent_node(30)],
        PodReason.DATASET_NOT_FOUND, "recipe.dataset_name",
    ),
    "a node that went silent after the failure": (
        [failed_learner(0, text=LOST_IT, at_s=15), on_silent_node(5)], PodReason.LEARNER_ERROR, "Connection closed.",
    ),
    "a pod that waits for a readiness gate": (
        [failed_learner(0, text=LOST_IT, at_s=15), on_silent_node(30, "ReadinessGatesNotReady")],
        PodReason.LEARNER_ERROR, "Connection closed.",
    ),
    "a pod whose kubelet says that it is not ready": (
        [failed_learner(0, text=LOST_IT, at_s=15), on_silent_node(30, containers_ready="False")],
        PodReason.LEARNER_ERROR, "Connection closed.",
    ),
    "a reason in the termination file": ([failed_learner(text=RENDEZVOUS)], PodReason.RENDEZVOUS_TIMEOUT, "Learner 1 did not come."),
    "no word from the container": ([failed_learner(exit_code=9)], PodReason.LEARNER_ERROR, "ended with exit code 9"),
    "a reason that nobody knows": ([failed_learner(text=failure_text("Whim", "So."))], PodReason.LEARNER_ERROR, "So."),
    "a mistake counts more than what came before it": (
        [failed_learner(0, at_s=30), failed_learner(1, exit_code=USER_ERROR_EXIT_CODE, text=MISTAKE, at_s=20)],
        PodReason.DATASET_NOT_FOUND, "recipe.dataset_name",
    ),
    "of two with the same mistake the one that keeps its log": (
        [
            failed_learner(0, exit_code=USER_ERROR_EXIT_CODE, text=MISTAKE, at_s=12, deletionTimestamp=ago(-30)),
            failed_learner(1, exit_code=USER_ERROR_EXIT_CODE, text=failure_text(PodReason.DATASET_NOT_FOUND, "Mine."), at_s=11),
        ],
        PodReason.DATASET_NOT_FOUND, "Mine.",
    ),
    "out of memory counts more than its consequences": (
        [failed_learner(0, at_s=30), failed_learner(1, exit_code=137, reason="OOMKilled", at_s=20)],
        "OOMKilled", "learners.resources.limits.memory, or start another run with a lower per_device_train_batch_size or "
        "max_completion_length, more learners, or reward functions that take less memory, which they share with training.",
    ),
    "a GPU without memory counts more than its consequences": (
        [failed_learner(0, at_s=30), failed_learner(1, text=failure_text(PodReason.GPU_OUT_OF_MEMORY, "Lower it."), at_s=20)],
        PodReason.GPU_OUT_OF_MEMORY, "Lower it.",
    ),
    "a full volume counts more than its consequences": (
        [failed_learner(0, at_s=30), failed_learner(1, text=failure_text(PodReason.VOLUME_FULL, "Enlarge it."), at_s=20)],
        PodReason.VOLUME_FULL, "Enlarge it.",
    ),
    "an eviction counts more than its consequences": ([failed_learner(0, at_s=35), evicted(1)], "Disrupted", "Drained"),
    "of equals the first": (
        [failed_learner(0, text=failure_text(PodReason.LEARNER_ERROR, "Late."), at_s=10), failed_learner(1, text=RENDEZVOUS, at_s=11)],
        PodReason.RENDEZVOUS_TIMEOUT, "Learner 1",
    ),
    "learners that were missing before one that was left by who missed them, and ended a moment earlier": (
        [failed_learner(0, text=RENDEZVOUS, at_s=10), failed_learner(1, text=LEFT, at_s=11)],
        PodReason.RENDEZVOUS_TIMEOUT, "Learner 1 did not come.",
    ),
    "a learner that is out of time before one that missed it a moment earlier": (
        [failed_learner(0, text=LOST_IT, at_s=12), failed_learner(1, text=OUT_OF_TIME, at_s=11)],
        PodReason.COLLECTIVE_TIMEOUT, "No progress.",
    ),
    "a learner that failed before another was out of time": (
        [failed_learner(0, text=LOST_IT, at_s=15), failed_learner(1, text=OUT_OF_TIME, at_s=11)],
        PodReason.LEARNER_ERROR, "Connection closed.",
    ),
    "a deleted learner before those who missed it": (
        [failed_learner(0, at_s=20), deleted(1, asked_s=20, ended_s=15)], "LearnerPodLost", "was deleted",
    ),
    "a deleted learner before those who ended with it, whose clock may be behind": (
        [failed_learner(0, exit_code=143, text=ASKED, at_s=25), deleted(1, asked_s=20, ended_s=15)], "LearnerPodLost", "was deleted",
    ),
    "a deleted learner that saved, and took the others along, all in one second": (
        [failed_learner(0, exit_code=143, text=ASKED, at_s=10), deleted(1, asked_s=10, ended_s=10, text=ASKED)], "LearnerPodLost", "was deleted",
    ),
    "a deleted learner before one that followed it, and the Job deleted in that second": (
        [deleted(0, asked_s=10, ended_s=10, text=FOLLOWED), deleted(1, asked_s=10, ended_s=10, text=ASKED)], "LearnerPodLost", "-1-x was deleted",
    ),
    "a deleted learner before one that followed it, and the Job deleted before it said so": (
        [deleted(0, asked_s=11, ended_s=10, text=FOLLOWED), deleted(1, asked_s=11, ended_s=11, text=ASKED)], "LearnerPodLost", "-1-x was deleted",
    ),
    "a deleted learner before one that the Job deleted in the second in which it failed, and that has not ended": (
        [on_its_way_out(0, asked_s=10), deleted(1, asked_s=10, ended_s=10, text=ASKED)], "LearnerPodLost", "-1-x was deleted",
    ),
    "a deleted learner before one that the Job deleted before it said so, and that has not ended": (
        [on_its_way_out(0, asked_s=11), deleted(1, asked_s=11, ended_s=11, text=ASKED)], "LearnerPodLost", "-1-x was deleted",
    ),
    "a deleted learner before one that the Job deleted in that second, and that ended later": (
        [deleted(0, asked_s=12, ended_s=11), deleted(1, asked_s=12, ended_s=12)], "LearnerPodLost", "-1-x was deleted",
    ),
    "a deleted learner that its kubelet has taken away, before one that the Job deleted and that has not ended": (
        [on_its_way_out(0, asked_s=10), taken_away(1, ended_s=11, gone_s=9, text=ASKED)], "LearnerPodLost", "-1-x was deleted",
    ),
    "a deleted learner that its kubelet has taken away in the second in which the Job failed, and that left no word": (
        [on_its_way_out(0, asked_s=9), taken_away(1, ended_s=10, gone_s=9)], "LearnerPodLost", "-1-x was deleted",
    ),
    "a failed learner that was taken away when its Job had failed": (
        [on_its_way_out(0, asked_s=10), taken_away(1, ended_s=10, gone_s=10, text=RENDEZVOUS, exit_code=1)],
        PodReason.RENDEZVOUS_TIMEOUT, "Learner 1",
    ),
    "a drained learner before those who ended with it": (
        [failed_learner(0, exit_code=143, text=ASKED, at_s=35), evicted(1)], "Disrupted", "Drained",
    ),
    "a deleted learner that said so": (
        [deleted(0, asked_s=20, ended_s=15, text=ASKED)], "LearnerPodLost", "was deleted",
    ),
    "learners that were asked to end by nobody who tells": (
        [failed_learner(0, exit_code=143, text=ASKED, at_s=20)], PodReason.LEARNER_ASKED_TO_END, "Step 7 is saved.",
    ),
    "a failed learner before those whom the Job deleted, all in one second": (
        [deleted(0, asked_s=10, ended_s=10), failed_learner(1, text=RENDEZVOUS, at_s=10)], PodReason.RENDEZVOUS_TIMEOUT, "Learner 1",
    ),
    "a failed learner that was deleted when its Job had failed": (
        [deleted(0, asked_s=9, ended_s=12)], PodReason.LEARNER_ERROR, "ended with exit code 143",
    ),
    "no pod left": ([], "LearnerPodLost", "gone with its node"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_cause(case: str) -> None:
    pods, reason, words = CASES[case]
    cause = cause_of(FAILURE, pods, len(pods), NOW)
    assert cause is not None
    assert cause.reason == reason
    assert words in cause.message


def test_the_end_of_one_of_two_that_were_deleted_in_the_same_second_is_waited_for() -> None:
    """The Job deleted the other one. Its own news may come before those of the pods."""
    news = [on_its_way_out(0, asked_s=11), on_its_way_out(1, asked_s=11)]
    assert cause_of(FAILURE, news, 2, NOW) is None
    cause = cause_of(FAILURE, [news[0], deleted(1, asked_s=11, ended_s=11)], 2, NOW)
    assert cause is not None
    assert cause.message == "Pod math-learner-1-1-x was deleted."


def test_the_pods_own_news_are_waited_for() -> None:
    just_now = JobFailure(reason="r", message="m", since=NOW - timedelta(seconds=2.9))
    assert cause_of(just_now, [make_pod()], 1, NOW) is None
    assert cause_of(just_now, [failed_learner()], 1, NOW) is not None


def test_a_learner_that_is_there_has_more_to_say_than_the_job() -> None:
    """Its end may be a failure that counts, and its news late."""
    failed = {since_s: replace(FAILURE, since=NOW - timedelta(seconds=since_s)) for since_s in (59, 60)}
    assert cause_of(failed[59], [make_pod()], 1, NOW) is None
    cause = cause_of(failed[60], [make_pod()], 1, NOW)
    assert cause is not None
    assert cause.reason == "LearnerPodLost"
    assert "gone with its node" in cause.message


def test_a_mistake_that_only_the_job_tells_of_is_one() -> None:
    def failed(since_s: float) -> JobFailure:
        since = NOW - timedelta(seconds=since_s)
        return JobFailure(reason="PodFailurePolicy", message="Container learner failed with exit code 78.", since=since)

    assert cause_of(failed(59), [], 1, NOW) is None
    cause = cause_of(failed(60), [], 1, NOW)
    assert cause is not None
    assert (cause.reason, cause.is_users_mistake) == (PodReason.LEARNER_ERROR, True)
    assert "exit code 78" in cause.message
    mistake = failed_learner(exit_code=USER_ERROR_EXIT_CODE, text=MISTAKE)
    known = cause_of(failed(1), [mistake], 1, NOW)
    assert known is not None
    assert known.reason == PodReason.DATASET_NOT_FOUND


@pytest.mark.parametrize(
    ("ended_s", "reason"), [(11, PodReason.LEARNER_ERROR), (10, PodReason.LEARNER_ERROR), (9, "LearnerPodLost")]
)
def test_who_ended_when_the_job_had_failed_missed_the_one_that_is_gone(ended_s: float, reason: str) -> None:
    """`FAILURE` is of 10 s ago. Of learner 0 there is no pod any more."""
    neighbour = failed_learner(1, text=failure_text(PodReason.LEARNER_ERROR, "Connection closed."), at_s=ended_s)
    cause = cause_of(FAILURE, [neighbour], 2, NOW)
    assert cause is not None
    assert cause.reason == reason
    if reason == "LearnerPodLost":
        assert cause.message.startswith("The pod of learner 0 was deleted, or is gone with its node (")
    both = cause_of(FAILURE, [failed_learner(0, at_s=8), neighbour], 2, NOW)
    assert both is not None
    assert both.pod is not None
    assert (both.reason, both.pod.index) == (PodReason.LEARNER_ERROR, 1)


def test_who_is_being_deleted_when_another_is_gone_was_deleted_by_the_job() -> None:
    """`FAILURE` is of 10 s ago, and was told of a second after the Job controller had deleted learner 0."""
    cause = cause_of(FAILURE, [deleted(0, asked_s=11, ended_s=10)], 2, NOW)
    assert cause is not None
    assert cause.message.startswith("The pod of learner 1 was deleted, or is gone with its node (")


def test_who_ended_with_one_that_is_gone_was_asked_because_of_it() -> None:
    cause = cause_of(FAILURE, [failed_learner(1, exit_code=143, text=ASKED, at_s=11)], 2, NOW)
    assert cause is not None
    assert cause.message.startswith("The pod of learner 0 was deleted, or is gone with its node (")


def test_of_several_that_are_gone_none_is_blamed() -> None:
    """Somebody deleted one, by force, and the Job then those that were left."""
    cause = cause_of(FAILURE, [], 2, NOW)
    assert cause is not None
    assert cause.message.startswith("A learner pod was deleted, or is gone with its node (")


WITNESSED = {
    "a neighbour that ended with it": ([failed_learner(1, exit_code=143, text=ASKED)], 11, True),
    "a neighbour that missed it": ([failed_learner(1, text=failure_text(PodReason.LEARNER_ERROR, "Connection closed."))], 10, True),
    "no pod": ([], 11, True),
    "a mistake": ([failed_learner(exit_code=USER_ERROR_EXIT_CODE, text=MISTAKE)], 11, False),
    "its pod": ([deleted(1, asked_s=20, ended_s=15)], 11, False),
    "seen after the Job had failed": ([failed_learner(1)], 9, False),
}  # fmt: skip


@pytest.mark.parametrize("case", WITNESSED)
def test_a_deletion_that_was_seen_before_the_job_failed_is_the_cause(case: str) -> None:
    """`FAILURE` is of 10 s ago; whether the witness' word counts."""
    pods, seen_s, counts = WITNESSED[case]
    condition = make_condition(ConditionType.LEARNERS_READY, "False", "LearnerPodLost", since_s=seen_s)
    witnessed = witnessed_loss([condition], FAILURE)
    cause = cause_of(FAILURE, pods, 2, NOW, witnessed)
    assert cause is not None
    assert (cause.message == "m") is counts
    assert (cause.reason == "LearnerPodLost") is (counts or case == "its pod")


def test_other_words_on_learners_are_no_witness() -> None:
    assert witnessed_loss([make_condition(ConditionType.LEARNERS_READY, "False", "Starting", 20)], FAILURE) is None


PENDING = unschedulable(900, "generator", "0/2 nodes.")
TAKEN: dict[str, tuple[list[ObservedPod], bool]] = {
    "there is no room": ([PENDING], True),
    "one is on its way out, and there is no room": (
        [PENDING, make_pod("generator", 1, deletionTimestamp=ago(-30))],
        True,
    ),
    "one runs": ([PENDING, make_pod("generator", 1)], False),
    "one went beyond its own limits": (
        [PENDING, make_pod("generator", 1, status={"phase": "Failed", "reason": "Evicted", "message": "Disk."})],
        False,
    ),
    "all are on their way out": ([make_pod("generator", deletionTimestamp=ago(-30))], False),
    "there is none": ([], False),
}


@pytest.mark.parametrize("case", TAKEN)
def test_generators_that_the_cluster_took(case: str) -> None:
    generators, is_disruption = TAKEN[case]
    lost = Cause(PodReason.GENERATORS_LOST, "No generator answered for 1800 s.", make_pod())
    cause = with_generators_taken(lost, generators)
    assert cause.reason == ("Disrupted" if is_disruption else PodReason.GENERATORS_LOST)
    assert cause.pod is lost.pod
    if is_disruption:
        assert cause.message == (
            "No generator answered for 1800 s. The cluster took them, or has no room for them (0/2 nodes)."
        )


def test_other_failures_are_none_of_the_generators() -> None:
    failed = Cause(PodReason.LEARNER_ERROR, "No.")
    assert with_generators_taken(failed, [PENDING]) is failed


GIVEN_UP: dict[str, tuple[ObservedPod, bool]] = {
    "not deleted": (make_pod(), False),
    "within its grace period": (make_pod(deletionTimestamp=ago(-30)), False),
    "not yet for long": (make_pod(deletionTimestamp=ago(59)), False),
    "for long": (make_pod(deletionTimestamp=ago(60), node="n1"), True),
    "ended, and kept by its Job": (failed_learner(deletionTimestamp=ago(60)), False),
}


@pytest.mark.parametrize("case", GIVEN_UP)
def test_a_learner_whose_node_is_lost(case: str) -> None:
    pod, is_lost = GIVEN_UP[case]
    cause = lost_learner([make_pod(index=1), pod], NOW)
    assert (cause is not None) is is_lost
    if cause:
        assert (cause.reason, cause.pod, cause.is_users_mistake) == ("LearnerNodeLost", pod, False)
        assert f"Pod {pod.name} was deleted" in cause.message
        assert "`kubectl delete node n1`" in cause.message


@pytest.mark.parametrize(
    ("is_users_mistake", "attempt", "max_restarts", "expected"),
    [(False, 1, 0, False), (False, 1, 1, True), (False, 2, 1, False), (True, 1, 5, False)],
)
def test_should_restart(is_users_mistake: bool, attempt: int, max_restarts: int, expected: bool) -> None:
    assert should_restart(Cause("R", "m", is_users_mistake=is_users_mistake), attempt, max_restarts) is expected


@pytest.mark.parametrize(("exit_code", "found"), [(USER_ERROR_EXIT_CODE, True), (1, False)])
def test_users_mistake_of_a_generator_that_was_started_again(exit_code: int, found: bool) -> None:
    last = ended(exit_code, text=MISTAKE)
    again = make_pod("generator", containers=(container("generator", 1, last, running={}),))
    cause = users_mistake_in([make_pod("generator", 1), again])
    assert (cause is not None) is found
    assert cause is None or (cause.reason, cause.pod) == (PodReason.DATASET_NOT_FOUND, again)


def test_the_exit_code_of_other_containers_is_no_users_mistake() -> None:
    ending = ended(USER_ERROR_EXIT_CODE, text=MISTAKE)
    assert users_mistake_in([make_pod("generator", containers=(container("proxy", terminated=ending),))]) is None
    learner = make_pod(phase="Failed", containers=(container("proxy", terminated=ending),))
    cause = cause_of(FAILURE, [learner], 1, NOW)
    assert cause is not None
    assert not cause.is_users_mistake


@pytest.mark.parametrize(
    ("without_step", "seconds"),
    [(0, 0), (1, 0), (2, 10), (3, 20), (4, 40), (5, 80), (6, 160), (7, 300), (8, 300), (100_000, 300)],
)
def test_pause_before_an_attempt(without_step: int, seconds: float) -> None:
    assert pause_s(without_step) == seconds


WAITS: dict[str, tuple[int, float | None, list[ObservedPod], float]] = {
    "the first attempt": (0, None, [], 0),
    "the second at once": (1, 0, [], 0),
    "what is left of the pause": (2, 4, [], 6),
    "a pause that is over": (2, 11, [], 0),
    "a learner that has ended": (1, 0, [failed_learner()], 0),
    "a learner of which no deletion is known": (1, 0, [make_pod()], 60),
    "a learner that is due to be gone in 25 s": (1, 5, [make_pod(deletionTimestamp=ago(-25))], 85),
    "a learner on a node that nobody reaches": (1, 95, [make_pod(deletionTimestamp=ago(60))], 0),
    "the longer of both": (3, 0, [make_pod(deletionTimestamp=ago(55))], 20),
}


@pytest.mark.parametrize("case", WAITS)
def test_wait_before_an_attempt(case: str) -> None:
    without_step, failed_s, leftovers, expected = WAITS[case]
    failed_at = None if failed_s is None else NOW - timedelta(seconds=failed_s)
    assert seconds_to_wait(without_step, failed_at, leftovers, NOW) == expected


@pytest.mark.parametrize(("told", "reason"), [*((known, known) for known in PodReason), ("Invented", "LearnerError")])
def test_a_pod_gives_its_reason_but_cannot_invent_one(told: str, reason: str) -> None:
    cause = cause_of(FAILURE, [failed_learner(text=failure_text(told, "Words."))], 1, NOW)
    assert cause is not None
    assert (cause.reason, cause.message) == (reason, "Words.")
