"""Everything that a run consists of, beside itself."""

from dataclasses import dataclass

from grpo_operator.api.run import GRPORun
from grpo_operator.desired.config import build_config_map
from grpo_operator.desired.digest import stamped
from grpo_operator.desired.generators import build_generator_deployment
from grpo_operator.desired.learners import build_learner_job
from grpo_operator.desired.manifest import Manifest
from grpo_operator.desired.network_policies import build_generator_network_policy, build_learner_network_policy
from grpo_operator.desired.pods_of_attempt import PodsOfAttempt
from grpo_operator.desired.services import build_generator_service, build_learner_service
from grpo_operator.desired.token import build_token_secret
from grpo_operator.desired.volume import build_claim
from grpo_operator.settings import Settings


@dataclass(frozen=True)
class Child:
    """An immutable child is created once under its name and never applied again; it carries no digest."""

    manifest: Manifest
    immutable: bool


def build_children(
    run: GRPORun, settings: Settings, attempt: int, token: str, kept: PodsOfAttempt | None = None
) -> list[Child]:
    """`token` is a fresh random one; it matters only where the run has no Secret yet. `kept`: what the generators that are there
    were made by, if the attempt has begun."""
    claim = build_claim(run)
    once = [
        build_token_secret(run, token),
        *([claim] if claim else []),
        build_learner_job(run, settings, attempt),
    ]
    applied = [
        build_config_map(run, settings),
        build_learner_service(run, attempt),
        build_generator_service(run),
        build_learner_network_policy(run, settings),
        build_generator_network_policy(run, settings),
        build_generator_deployment(run, settings, attempt, kept),
    ]
    return [
        *(Child(manifest, immutable=True) for manifest in once),
        *(Child(stamped(manifest), immutable=False) for manifest in applied),
    ]
