"""The generators: a Deployment, because each pod can be replaced alone at any time. Nothing here but `replicas` depends
on their number, so that scaling leaves running pods alone.
"""

from typing import Final

from grpo_contract import network
from grpo_contract.config import Deadlines
from grpo_contract.grace import GENERATOR_GRACE_PERIOD_S
from grpo_contract.labels import Role
from grpo_operator.api.run import GRPORun
from grpo_operator.desired import names
from grpo_operator.desired.digest import digest_of_json
from grpo_operator.desired.manifest import Manifest, build_metadata, selector_of
from grpo_operator.desired.pods import GRACE_PERIOD, build_pod_template, http_probe, metadata_of_pods
from grpo_operator.desired.pods_of_attempt import PODS_ANNOTATION, PodsOfAttempt
from grpo_operator.desired.recipe import recipe_of_pods
from grpo_operator.settings import Settings

PROBE_PERIOD_S: Final = 2
UNREADY_S: Final = 6
LIVENESS_PERIOD_S: Final = 10
HANGS_S: Final = 120
"""Without any answer, or with the one that its engine hangs, and it is ended: on busy cores it is slow, one that hangs stays so."""
HUNG_GRACE_PERIOD_S: Final = 5
"""Of one that hangs, which finishes nothing."""


def build_generator_deployment(run: GRPORun, settings: Settings, attempt: int, kept: PodsOfAttempt | None) -> Manifest:
    """`kept`: what the Deployment that is there has its pods by."""
    asked = _asked(run)
    if kept and kept.is_of(attempt, asked):
        pods = kept
    else:
        template = build_pod_template(run, settings, Role.GENERATOR, _specifics(run, settings))
        pods = PodsOfAttempt(attempt=attempt, asked=asked, template=template)
    metadata = build_metadata(run, names.generator_deployment(run.metadata.name), Role.GENERATOR)
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata | {"annotations": {PODS_ANNOTATION: pods.model_dump_json()}},
        "spec": {
            "replicas": run.spec.generators.replicas,
            "selector": {"matchLabels": selector_of(run, Role.GENERATOR)},
            # GPUs for a pod more than asked for are seldom free.
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}},
            "revisionHistoryLimit": 1,
            # Pods become ready only when the learner has given them weights; until then the Deployment is not stuck.
            "progressDeadlineSeconds": 2 * startup_s(run),
            "template": pods.template,
        },
    }


def startup_s(run: GRPORun) -> int:
    """Loading a large model from a network volume or the hub: as long as learners wait for that. Who gives them up earlier does
    not mean that they start faster."""
    return max(int(Deadlines().generators_s), run.spec.deadlines.generators_seconds or 0)


def _asked(run: GRPORun) -> str:
    """A digest of what the run says of its generators' pods."""
    # Fields that only a newer operator knows are left out until the run uses one. Their number is nothing of a pod.
    fields = run.spec.generators.model_dump(mode="json", exclude={"replicas"}, exclude_defaults=True)
    raised_s = startup_s(run) if startup_s(run) > int(Deadlines().generators_s) else None
    return digest_of_json([fields, raised_s, recipe_of_pods(run)])


def _specifics(run: GRPORun, settings: Settings) -> Manifest:
    container = {
        "name": Role.GENERATOR.value,
        "command": ["python", "-m", "grpo_generator"],
        "ports": [{"name": network.GENERATOR_PORT_NAME, "containerPort": network.GENERATOR_PORT}],
        "startupProbe": _ending_probe(PROBE_PERIOD_S, startup_s(run)),
        "readinessProbe": _probe(network.GENERATOR_READY_PATH, PROBE_PERIOD_S, UNREADY_S),
        "livenessProbe": _ending_probe(LIVENESS_PERIOD_S, HANGS_S),
    }
    return {
        "metadata": metadata_of_pods(run, settings, Role.GENERATOR, network.GENERATOR_PORT),
        "spec": {GRACE_PERIOD: GENERATOR_GRACE_PERIOD_S, "containers": [container]},
    }


def _ending_probe(period_s: int, seconds: float) -> Manifest:
    """After so many seconds the container is ended."""
    return _probe(network.GENERATOR_HEALTH_PATH, period_s, seconds) | {GRACE_PERIOD: HUNG_GRACE_PERIOD_S}


def _probe(path: str, period_s: int, seconds: float) -> Manifest:
    return http_probe(path, network.GENERATOR_PORT_NAME, period_s, seconds)
