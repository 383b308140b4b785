"""Remedies that a rule of the CRD cannot name, since CEL has no words for them: which learners suit, which reward is nearest."""

import difflib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from grpo_cli.finding import Finding
from grpo_cli.paths import RECIPE, values_at
from grpo_cli.processes import NUM_PROCESSES, written_for
from grpo_cli.rules import broken_rules
from grpo_contract.rewards import BUILT_IN_REWARDS, REWARD_IMPORT
from grpo_operator.api.cel import Rule
from grpo_operator.api.reward_rules import REWARD

NO_REWARD: Final = "no reward function"


def with_remedies(
    broken: Sequence[Finding], run: Mapping[str, Any], rules: Sequence[Rule], refused: Collection[str]
) -> list[Finding]:
    """`broken` are what `run` breaks of `rules`; `refused` as in broken_rules."""
    found = dict(_learners(broken, run, rules, refused)) | dict(_rewards(broken, run))
    return [replace(finding, sentence=_with_remedy(finding, found.get(finding))) for finding in broken]


def _with_remedy(finding: Finding, remedy: str | None) -> str:
    return finding.sentence if remedy is None else f"{finding.sentence.rpartition('; ')[0]}; {remedy}"


def _learners(
    broken: Sequence[Finding], run: Mapping[str, Any], rules: Sequence[Rule], refused: Collection[str]
) -> Iterator[tuple[Finding, str]]:
    """Of what the recipe breaks with these learners, but not with those that it was written for."""
    of_recipe = [finding for finding in broken if finding.field.startswith(f"{RECIPE}.")]
    pods = next((written_for(number) for _, number in values_at(run, ("spec", "recipe", NUM_PROCESSES))), None)
    if not of_recipe or pods is None:
        return
    as_written = {**run, "spec": {**run["spec"], "learners": vars(pods)}}
    left = {finding.field for finding in broken_rules(as_written, rules, refused)}
    for finding in of_recipe:
        if finding.field not in left:
            yield (
                finding,
                f"the recipe was written for {pods.number} processes (num_processes), which {pods.as_field} ({pods.as_option}) "
                "are.",
            )


def _rewards(broken: Sequence[Finding], run: Mapping[str, Any]) -> Iterator[tuple[Finding, str]]:
    names = dict(values_at(run, REWARD))
    for finding in broken:
        nearest = _nearest(names[finding.field]) if finding.field in names and NO_REWARD in finding.sentence else None
        if nearest is not None:
            yield finding, f"did you mean {nearest}?"


def _nearest(name: str) -> str | None:
    """A built-in one, or with the colon that a function of one's own needs."""
    function = ":".join(name.rsplit(".", 1))
    if re.match(REWARD_IMPORT, function):
        return function
    return next(iter(difflib.get_close_matches(name, BUILT_IN_REWARDS, n=1)), None)
