"""Every fault, who is hurt by it, and within which time the run has to have noticed it and got over it."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from chaos import on_cluster, on_pods
from chaos.arena import DEADLINES, EVERY_STEPS, Arena
from chaos.blow import Blow
from cluster.cgroups import kill
from grpo_contract.grace import LEARNER_GRACE_PERIOD_S
from grpo_generator.pulse import SILENT_S
from grpo_operator.desired import learners
from grpo_operator.desired.generators import HANGS_S, HUNG_GRACE_PERIOD_S, LIVENESS_PERIOD_S
from grpo_operator.reconcile.restart import GONE_GRACE_S
from grpo_trainer.fleet.patience import ASKED_EVERY_S

CONNECTION_S: Final = 3.0
"""Within which a generator that is gone is noticed."""
HANG_S: Final = 40.0
"""Within which one that hangs is, whatever it does: it has missed two questions."""
ENDED_S: Final = float(HANGS_S + LIVENESS_PERIOD_S + HUNG_GRACE_PERIOD_S)
"""Within which the kubelet has ended a generator that hangs."""
ENGINE_S: Final = DEADLINES["weightSyncSeconds"] + SILENT_S + ENDED_S
"""Within which a generator has ended whose engine hangs; learners need not notice before."""
STOPPED_S: Final = (
    DEADLINES["collectiveSeconds"] + learners.AFTER_WATCHDOG_S + learners.LIVENESS_PERIOD_S + LEARNER_GRACE_PERIOD_S
)
"""Within which kubelets have ended learners that are stopped as a whole: one by its liveness probe, the others since its Job failed."""
HUNG_S: Final = DEADLINES["collectiveSeconds"] + 10.0
"""Within which the others have ended by their watchdog, when a learner hangs; they miss a lost node before that."""
FAILED_S: Final = 15.0
"""Within which the run says that an attempt is lost of which a learner has ended."""
NODE_GIVEN_UP_S: Final = LEARNER_GRACE_PERIOD_S + GONE_GRACE_S
"""After which a pod on it is waited for no more."""


class Hurt(StrEnum):
    """Who is, which says what may be lost."""

    GENERATORS = "generators"
    """No step is lost, and no attempt."""
    LEARNERS = "learners"
    """The attempt is lost, and steps since the newest checkpoint."""
    NOBODY = "nobody"
    """Training goes on as if nothing had happened, at the latest when it is over."""


def _nothing(arena: Arena, blow: Blow) -> None:
    pass


@dataclass(frozen=True)
class Fault:
    name: str
    hurt: Hurt
    strike: Callable[[Arena], Blow]
    noticed_within_s: float = CONNECTION_S
    steps_lost_at_most: int = EVERY_STEPS
    ended_within_s: float = 0.0
    """Until the kubelet has ended a generator that hangs."""
    stays_s: float = 0.0
    """How long a learner of the lost attempt may be waited for, once that is lost."""
    is_disruption: bool = False
    """Of an attempt that is lost: spec.maxRestarts does not count it."""
    mend: Callable[[Arena, Blow], None] = _nothing
    """When the run has got over it."""


def _of_generators(
    name: str, strike: Callable[[Arena], Blow], noticed_s: float = CONNECTION_S, ended_s: float = 0.0
) -> Fault:
    return Fault(name, Hurt.GENERATORS, strike, noticed_s, ended_within_s=ended_s)


def _of_learners(name: str, strike: Callable[[Arena], Blow], noticed_s: float = FAILED_S, **more: Any) -> Fault:
    return Fault(name, Hurt.LEARNERS, strike, noticed_s, **more)


def _of_checkpoints(name: str, how: str) -> Fault:
    return _of_learners(name, on_pods.damage_checkpoint(how), steps_lost_at_most=2 * EVERY_STEPS)


FAULTS: Final = (
    _of_generators("generator killed", on_pods.hurt_generator(kill)),
    # It finishes what it writes, and says that it leaves when it is asked for more, or whether it is there.
    _of_generators("generator deleted", on_pods.delete_generator, CONNECTION_S + ASKED_EVERY_S),
    _of_generators("generator killed in a weight update", on_pods.in_weight_update(kill)),
    _of_generators("generator hung in a weight update", on_pods.in_weight_update(on_pods.stop), HANG_S, ENDED_S),
    _of_generators("all generators killed", on_pods.kill_all_generators),
    _of_generators("generator hung", on_pods.hurt_generator(on_pods.stop), HANG_S, ENDED_S),
    _of_generators("engine of a generator hung", on_pods.hurt_generator(on_pods.stop_engine), ENGINE_S, ENGINE_S),
    Fault("generators scaled to 1 and back", Hurt.NOBODY, on_pods.scale_down_and_up),
    _of_learners("learner 0 killed", on_pods.kill_learner(0)),
    _of_learners("learner 1 killed", on_pods.kill_learner(1)),
    _of_learners("learner 1 deleted", on_pods.delete_learner, is_disruption=True),
    _of_learners("learner 1 hung", on_pods.hang_learner, HUNG_S),
    _of_learners("all learner pods stopped", on_pods.stop_learners, STOPPED_S),
    _of_checkpoints("newest checkpoint cut off", on_pods.CUT_OFF),
    _of_checkpoints("a bit of it flipped", on_pods.FLIP),
    _of_checkpoints("its marker removed", on_pods.UNMARK),
    Fault("node cut off for half a minute", Hurt.NOBODY, on_cluster.cut_off_node),
    _of_learners(
        "node lost for good",
        on_cluster.lose_node,
        HUNG_S,
        stays_s=NODE_GIVEN_UP_S,
        is_disruption=True,
        mend=on_cluster.bring_node_back,
    ),
    _of_learners("node drained", on_cluster.drain_node, is_disruption=True),
    Fault("operator killed", Hurt.NOBODY, on_cluster.end_operator),
    Fault("API server hung for a minute", Hurt.NOBODY, on_cluster.hang_api_server),
    Fault("API server restarted", Hurt.NOBODY, on_cluster.restart_api_server),
    Fault("etcd restarted", Hurt.NOBODY, on_cluster.restart_etcd),
    Fault("kubelet restarted", Hurt.NOBODY, on_cluster.restart_kubelet),
    Fault("DNS down for half a minute", Hurt.NOBODY, on_cluster.stop_dns),
    Fault("token rotated", Hurt.NOBODY, on_cluster.rotate_token),
)
