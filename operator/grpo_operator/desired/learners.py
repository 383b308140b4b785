"""The learners of one attempt: an Indexed Job that succeeds or fails as a whole. A new attempt is a new Job."""

from typing import Final

from grpo_contract import environment, network
from grpo_contract.config import Deadlines
from grpo_contract.failure import USER_ERROR_EXIT_CODE
from grpo_contract.grace import LEARNER_GRACE_PERIOD_S
from grpo_contract.labels import ATTEMPT_LABEL, Role
from grpo_operator.api.run import GRPORun
from grpo_operator.desired import names
from grpo_operator.desired.config import deadlines
from grpo_operator.desired.manifest import Manifest, build_metadata
from grpo_operator.desired.pods import GRACE_PERIOD, build_pod_template, http_probe, metadata_of_pods
from grpo_operator.desired.recipe import todays_recipe
from grpo_operator.desired.reward_code import build_mounts, build_volumes
from grpo_operator.settings import Settings

MISTAKE_REASON: Final = "PodFailurePolicy"
"""Of a Job that failed by `_user_error_rule`, in the words of the Job controller."""
READINESS_PERIOD_S: Final = 2
UNREADY_S: Final = 30
"""Its ranks have ended before it has: no reason to count a learner that is done as one that is missing."""
LIVENESS_PERIOD_S: Final = 10
AFTER_WATCHDOG_S: Final = 30.0
"""The watchdog of a learner that can still speak says more."""


def build_learner_job(run: GRPORun, settings: Settings, attempt: int) -> Manifest:
    metadata = build_metadata(run, names.learner_job(run.metadata.name, attempt), Role.LEARNER)
    metadata["labels"] |= {ATTEMPT_LABEL: str(attempt)}
    replicas = run.spec.learners.replicas
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata,
        "spec": {
            "completionMode": "Indexed",
            "completions": replicas,
            "parallelism": replicas,
            # torch.distributed cannot take back a lost rank, so that the first lost pod ends the attempt.
            "backoffLimit": 0,
            "podFailurePolicy": {"rules": [_user_error_rule()]},
            "template": build_pod_template(run, settings, Role.LEARNER, _specifics(run, settings, attempt)),
        },
    }


def _user_error_rule() -> Manifest:
    """Makes the Job say by its reason that another attempt would end the same way."""
    exit_codes = {"containerName": Role.LEARNER.value, "operator": "In", "values": [USER_ERROR_EXIT_CODE]}
    return {"action": "FailJob", "onExitCodes": exit_codes}


def _specifics(run: GRPORun, settings: Settings, attempt: int) -> Manifest:
    metadata = metadata_of_pods(run, settings, Role.LEARNER, network.LEARNER_HTTP_PORT)
    metadata["labels"] |= {ATTEMPT_LABEL: str(attempt)}
    ports = {
        network.LEARNER_HTTP_PORT_NAME: network.LEARNER_HTTP_PORT,
        network.WEIGHTS_PORT_NAME: network.WEIGHTS_PORT,
        network.RENDEZVOUS_PORT_NAME: network.RENDEZVOUS_PORT,
    }
    container = {
        "name": Role.LEARNER.value,
        "command": ["python", "-m", "grpo_trainer"],
        "env": [{"name": environment.ATTEMPT, "value": str(attempt)}],
        "ports": [{"name": name, "containerPort": port} for name, port in ports.items()],
        "volumeMounts": build_mounts(run),
        **_probes(deadlines(run.spec.deadlines, todays_recipe(run.spec)[0])),
    }
    spec = {
        "restartPolicy": "Never",
        GRACE_PERIOD: LEARNER_GRACE_PERIOD_S,
        "containers": [container],
        "volumes": build_volumes(run),
    }
    return {"metadata": metadata, "spec": spec}


def _probes(limits: Deadlines) -> Manifest:
    """Those that end it are for a pod that stands still as a whole, its watchdog included. Without neighbours nobody else would
    miss it. (For a pod that is not started again a kubelet knows no other grace period than the pod's own.)"""
    return {
        "startupProbe": _probe(READINESS_PERIOD_S, limits.launch_s),
        "readinessProbe": _probe(READINESS_PERIOD_S, UNREADY_S),
        "livenessProbe": _probe(LIVENESS_PERIOD_S, limits.collective_s + AFTER_WATCHDOG_S),
    }


def _probe(period_s: int, seconds: float) -> Manifest:
    return http_probe(network.HEALTH_PATH, network.LEARNER_HTTP_PORT_NAME, period_s, seconds)
