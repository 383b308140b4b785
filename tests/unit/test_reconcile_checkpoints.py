"""Looks at a run: what is said of its checkpoints."""

import pytest

from grpo_contract.progress import CheckpointHealth, CheckpointProgress, CheckpointTrouble, Progress, Stage
from grpo_operator.api.run import GRPORun
from grpo_operator.api.status import ConditionType
from grpo_operator.reconcile.events import RunEvent, events_of
from grpo_operator.reconcile.plan import Plan
from grpo_operator.reconcile.world import Reading
from unit.desired_inputs import make_run
from unit.observed_inputs import TRAINING, look, make_job, make_pod, message, said, then

HEALTHY = ConditionType.CHECKPOINT_HEALTHY
OF_STEP_4 = CheckpointProgress(step=4, time="2026-06-01T12:00:00Z")
OF_STEP_8 = CheckpointProgress(step=8, time="2026-06-01T13:00:00Z")
FINE = CheckpointHealth()
DAMAGED = CheckpointHealth(trouble=CheckpointTrouble.DAMAGED, message="checkpoint-8 is not as it was written.")
FULL = CheckpointHealth(trouble=CheckpointTrouble.VOLUME_FULL, message="The checkpoint of step 8 was not written.")
NOT_WRITTEN = CheckpointHealth(trouble=CheckpointTrouble.NOT_WRITTEN, message="The checkpoint of step 8: EIO.")


def told(health: CheckpointHealth | None, checkpoint: CheckpointProgress | None = OF_STEP_4) -> Reading:
    return Reading(TRAINING.model_copy(update={"checkpoint_health": health, "checkpoint": checkpoint}))


def at(run: GRPORun, reading: Reading) -> Plan:
    return look(run, make_job(), make_pod(ready=True), reading=reading)


@pytest.mark.parametrize(
    ("health", "checkpoint", "condition", "words"),
    [
        (FINE, OF_STEP_4, ("True", "CheckpointWhole"), "The newest checkpoint, of step 4, is whole."),
        (FINE, None, ("Unknown", "NoCheckpointYet"), "Learners have written no checkpoint yet."),
        (None, OF_STEP_4, ("Unknown", "NoCheckpointYet"), "Learners have written no checkpoint yet."),
        (DAMAGED, OF_STEP_4, ("False", "CheckpointDamaged"), DAMAGED.message),
        (DAMAGED, None, ("False", "CheckpointDamaged"), DAMAGED.message),
        (FULL, OF_STEP_4, ("False", "VolumeFull"), FULL.message),
        (NOT_WRITTEN, None, ("False", "CheckpointNotWritten"), NOT_WRITTEN.message),
    ],
)
def test_what_learners_say(
    health: CheckpointHealth | None, checkpoint: CheckpointProgress | None, condition: tuple[str, str], words: str
) -> None:
    plan = at(make_run(), told(health, checkpoint))
    assert said(plan, HEALTHY) == condition
    assert message(plan, HEALTHY) == words


@pytest.mark.parametrize("reading", [Reading(), told(None)])
def test_what_was_said_before_holds_while_nothing_is_said(reading: Reading) -> None:
    run = then(make_run(), at(make_run(), told(FULL)))
    assert said(at(run, reading), HEALTHY) == ("False", "VolumeFull")


def warnings(run: GRPORun, plan: Plan) -> list[tuple[str, str]]:
    events: list[RunEvent] = events_of(run, plan.status)
    return [(event.reason, event.note) for event in events if event.type == "Warning"]


def test_a_warning_once_for_a_volume_that_stays_full() -> None:
    run = make_run()
    plan = at(run, told(FULL))
    assert warnings(run, plan) == [("VolumeFull", FULL.message)]
    run = then(run, plan)
    again = at(run, told(FULL.model_copy(update={"message": "The checkpoint of step 12 was not written."})))
    assert warnings(run, again) == []
    assert message(again, HEALTHY) == "The checkpoint of step 12 was not written."
    run = then(run, again)
    mended = at(run, told(FINE, OF_STEP_8))
    assert (said(mended, HEALTHY), warnings(run, mended)) == (("True", "CheckpointWhole"), [])


def test_each_damaged_checkpoint_is_news() -> None:
    run = make_run()
    plan = at(run, told(DAMAGED))
    assert warnings(run, plan) == [("CheckpointDamaged", DAMAGED.message)]
    run = then(run, plan)
    assert warnings(run, at(run, told(DAMAGED))) == []
    older = DAMAGED.model_copy(update={"message": "checkpoint-4 is not as it was written."})
    assert warnings(run, at(run, told(older, None))) == [("CheckpointDamaged", older.message)]


def test_the_checkpoint_of_the_status_is_the_one_that_the_attempt_goes_on_from() -> None:
    run = then(make_run(), at(make_run(), told(FINE, OF_STEP_8)))
    assert at(run, told(None, None)).status.checkpoint == OF_STEP_8  # it has not looked yet
    assert at(run, told(DAMAGED, OF_STEP_4)).status.checkpoint == OF_STEP_4
    assert at(run, told(DAMAGED, None)).status.checkpoint is None


def test_a_trouble_that_only_a_newer_image_knows_is_one() -> None:
    answer = '{"attempt": 1, "stage": "Training", "checkpointHealth": {"trouble": "Melted", "message": "It is gone."}}'
    progress = Progress.model_validate_json(answer)
    assert progress.stage is Stage.TRAINING
    assert progress.checkpoint_health == CheckpointHealth(trouble=CheckpointTrouble.NOT_WRITTEN, message="It is gone.")
