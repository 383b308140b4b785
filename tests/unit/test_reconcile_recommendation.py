"""How many generators suit a run, by what a step takes of either side, and when that is said."""

from typing import Any

import pytest

from grpo_contract.progress import Progress, Steps
from grpo_operator.api.spec import Generators
from grpo_operator.reconcile.recommendation import Recommendation, recommend
from grpo_operator.reconcile.world import Reading
from unit.desired_inputs import make_run
from unit.observed_inputs import TRAINING, failed_learner, job_condition, look, make_job, make_pod, then

WAIT = (
    "Learners wait {} % of each step for completions: {} generators instead of {} would let them learn without waiting."
)
FEWER = "Generators have nothing to write for {} % of each step: {} instead of {} would do."

# generators, seconds of generation with them, of learning -> generators that are recommended, and in which words
SIDE_BY_SIDE = [
    (2, 10.0, 4.0, 5, WAIT.format(60, 5, 2)),
    (2, 10.0, 3.8, 6, WAIT.format(60, 6, 2)),
    (1, 30.0, 1.0, 30, WAIT.format(95, 30, 1)),
    (3, 10.0, 8.9, 4, WAIT.format(10, 4, 3)),
    (3, 10.0, 9.1, 3, None),
    (3, 10.0, 10.0, 3, None),
    (1, 1.0, 10.0, 1, None),
    (2, 4.6, 10.0, 2, None),
    (2, 4.4, 10.0, 1, FEWER.format(55, 1, 2)),
    (8, 3.0, 10.0, 3, FEWER.format(70, 3, 8)),
    (100, 0.0001, 10.0, 1, FEWER.format(95, 1, 100)),
]
HIDE = "Generation takes {} s of each step and learning {} s: a run with spec.generators.maxStaleness 1 would take {} s a step{}."
TWICE = "Learners wait {} % of each step for completions: with {} generators instead of {} it would take {} s instead of {} s."
IN_TURNS = [
    (2, 10.0, 10.0, None, HIDE.format(10, 10, 10, "")),
    (2, 10.49, 10.0, None, HIDE.format(10, 10, 10, "")),
    (2, 12.345, 4.0, None, HIDE.format(12, 4, 12, ", and 4 s with 7 generators instead of 2")),
    (2, 0.123, 0.5, None, HIDE.format(0.12, 0.5, 0.5, "")),
    (2, 1234.0, 1500.0, None, HIDE.format(1200, 1500, 1500, "")),
    (4, 19.0, 1.0, 8, TWICE.format(95, 8, 4, 10, 20)),
    (4, 1.0, 19.0, 2, FEWER.format(95, 2, 4)),
    (1, 1.0, 19.0, 1, None),
]


@pytest.mark.parametrize(("replicas", "generation_s", "learning_s", "generators", "sentence"), SIDE_BY_SIDE)
@pytest.mark.parametrize("staleness", [1, 2])
def test_with_staleness_neither_side_waits(
    replicas: int, generation_s: float, learning_s: float, generators: int, sentence: str | None, staleness: int
) -> None:
    asked_for = Generators(replicas=replicas, max_staleness=staleness)
    assert recommend(asked_for, replicas * generation_s, learning_s) == Recommendation(generators, sentence)


@pytest.mark.parametrize(("replicas", "generation_s", "learning_s", "generators", "sentence"), IN_TURNS)
def test_where_they_take_turns_staleness_hides_one(
    replicas: int, generation_s: float, learning_s: float, generators: int | None, sentence: str | None
) -> None:
    asked_for = Generators(replicas=replicas)
    assert recommend(asked_for, replicas * generation_s, learning_s) == Recommendation(generators, sentence)


def test_what_is_recommended_is_recommended_again_once_it_is_there() -> None:
    """More of them divide the same work."""
    enough = recommend(Generators(replicas=2, max_staleness=1), 20.0, 3.8).generators
    assert enough == 6
    assert recommend(Generators(replicas=enough, max_staleness=1), 20.0, 3.8) == Recommendation(6, None)


def report(generator_seconds: float | None, learning_seconds: float | None = 4.0, **more: Any) -> Reading:
    steps = Steps(step=7, max_steps=20, generator_seconds=generator_seconds, learning_seconds=learning_seconds)
    return Reading(TRAINING.model_copy(update={"progress": steps, **more}))


class TestStatus:
    RUN = make_run(generators={"replicas": 2, "maxStaleness": 1})

    def test_it_comes_into_the_status_and_goes(self) -> None:
        plan = look(self.RUN, make_job(), make_pod(ready=True), reading=report(20.0))
        assert plan.status.generators.recommended == 5
        assert plan.status.recommendation == WAIT.format(60, 5, 2)
        again = look(then(self.RUN, plan), make_job(), make_pod(ready=True), reading=report(8.0))
        assert (again.status.generators.recommended, again.status.recommendation) == (2, None)

    def test_a_step_that_took_a_little_longer_changes_nothing(self) -> None:
        first, second = (
            look(self.RUN, make_job(), make_pod(ready=True), reading=report(seconds)).status for seconds in (19.6, 19.9)
        )
        assert (first.recommendation, first.generators) == (second.recommendation, second.generators)

    @pytest.mark.parametrize("measured", [(None, None), (0.0, 4.0), (20.0, 0.0)])
    def test_what_is_not_known_recommends_nothing(self, measured: tuple[float | None, float | None]) -> None:
        plan = look(self.RUN, make_job(), make_pod(ready=True), reading=report(*measured))
        assert (plan.status.generators.recommended, plan.status.recommendation) == (None, None)

    def test_an_attempt_that_has_made_no_steps_leaves_it(self) -> None:
        run = then(self.RUN, look(self.RUN, make_job(), make_pod(ready=True), reading=report(20.0)))
        run = then(run, look(run, make_job(conditions=(job_condition("Failed"),)), failed_learner()))
        assert (run.status.progress.generator_seconds, run.status.progress.learning_seconds) == (None, None)
        waiting = Reading(Progress(attempt=2, stage=TRAINING.stage))
        plan = look(run, make_job(2), make_pod(attempt=2, ready=True), reading=waiting)
        assert (plan.status.generators.recommended, plan.status.recommendation) == (5, WAIT.format(60, 5, 2))

    def test_an_ended_run_keeps_it_for_the_next(self) -> None:
        run = self.RUN.model_copy(update={"spec": self.RUN.spec.model_copy(update={"max_restarts": 0})})
        run = then(run, look(run, make_job(), make_pod(ready=True), reading=report(20.0)))
        plan = look(run, make_job(conditions=(job_condition("Failed"),)), failed_learner())
        assert plan.status.finished_at is not None
        assert (plan.status.generators.recommended, plan.status.recommendation) == (5, WAIT.format(60, 5, 2))
