"""A learner that the kernel ends for want of memory is named, with what to do."""

from harness.demo_runs import small_run
from harness.kubectl import Kubectl
from harness.runs import NAMED_S, last_words, pods, seconds_between, wait_for_phase


def test_a_learner_out_of_memory_is_named(namespace: Kubectl) -> None:
    namespace.apply(
        small_run(
            "hungry",
            learners={"resources": {"limits": {"memory": "64Mi"}, "requests": {"memory": "64Mi"}}},
            maxRestarts=0,
        )
    )
    run = wait_for_phase(namespace, "hungry", "Failed", 120)
    failure = run["status"]["lastFailure"]
    assert failure["reason"] == "OOMKilled"
    assert "learners.resources" in failure["message"]
    (pod,) = pods(namespace, "hungry", "learner")
    assert seconds_between(last_words(pod)["finishedAt"], run["status"]["finishedAt"]) <= NAMED_S
