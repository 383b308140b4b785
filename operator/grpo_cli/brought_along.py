"""What a run needs and its author must bring: keys from Secrets, packages of an image. Notes, for the operator's settings may
bring them, too."""

from collections.abc import Iterator
from typing import Final

from grpo_cli.finding import Finding, note
from grpo_cli.plan import Plan
from grpo_contract.hub import pushes
from grpo_contract.recipe.needed_packages import packages_of
from grpo_contract.recipe.trackers import (
    ALL_TRACKERS,
    OTHER_TRACKERS,
    TRACKIO_SPACE,
    TRACKIO_SPACE_VARIABLE,
    WANDB_SAYS_WHERE_TO,
    reported_to,
)

TOKEN: Final = "HF_TOKEN"
FROM_SECRET: Final = "set it from a Secret there, unless the operator's settings do"


def token_for_pushes(plan: Plan) -> Iterator[Finding]:
    key = pushes(plan.recipe)
    if key is not None and not may_have(plan, TOKEN):
        yield note(
            f"spec.recipe.{key}",
            f"spec.recipe.{key} is set, and spec.learners.env has no {TOKEN}; {FROM_SECRET}.",
        )


def key_for_wandb(plan: Plan) -> Iterator[Finding]:
    if tells(plan, "wandb") and not may_have(plan, *WANDB_SAYS_WHERE_TO):
        yield note(
            "spec.recipe.report_to",
            f"spec.recipe.report_to asks for wandb, and spec.learners.env has no {WANDB_SAYS_WHERE_TO[0]}, without which the run "
            f"is kept on the volume and not sent; {FROM_SECRET}.",
        )


def token_for_trackio(plan: Plan) -> Iterator[Finding]:
    has_space = plan.sets(TRACKIO_SPACE) or TRACKIO_SPACE_VARIABLE in variables(plan)
    if tells(plan, "trackio") and has_space and not may_have(plan, TOKEN):
        yield note(
            f"spec.recipe.{TRACKIO_SPACE}",
            f"spec.recipe.{TRACKIO_SPACE} names a Space, and spec.learners.env has no {TOKEN}, without which the run is kept on "
            f"the volume and not sent; {FROM_SECRET}.",
        )


def trackers(plan: Plan) -> Iterator[Finding]:
    names = [name for name in reported_to(plan.value("report_to")) if name in OTHER_TRACKERS]
    if names:
        yield note(
            "spec.recipe.report_to",
            f"spec.recipe.report_to holds {', '.join(names)}, which the learners' image must hold (the released one does "
            "not), or the run fails; leave it out, since metrics are in Prometheus anyway, or use an image that holds it.",
        )


def packages(plan: Plan) -> Iterator[Finding]:
    for needed in packages_of(plan.recipe):
        yield note(
            f"spec.recipe.{needed.key}",
            f"{needed.needs}, which the project's images do not hold: with them the run fails; {needed.remedy}.",
        )


def tells(plan: Plan, tracker: str) -> bool:
    return not {tracker, ALL_TRACKERS}.isdisjoint(reported_to(plan.value("report_to")))


def may_have(plan: Plan, *names: str) -> bool:
    """Whether the learners get one of these variables, or something of their own template that may hold one."""
    of_template = plan.spec.learners.pod_template.get("spec") or {}
    return bool(of_template.get("containers")) or not variables(plan).isdisjoint(names)


def variables(plan: Plan) -> set[str]:
    return {variable["name"] for variable in plan.spec.learners.env}


BROUGHT_ALONG: Final = (token_for_pushes, key_for_wandb, token_for_trackio, trackers, packages)
