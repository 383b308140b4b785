"""Conditions as values: policies state them, this file dates them. A transition time moves only when a status does."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal

from grpo_operator.api.status import Condition, ConditionType

Truth = Literal["True", "False", "Unknown"]

MESSAGE_CHARACTERS: Final = 4096
"""The API allows 32768; the messages of a scheduler with a thousand nodes are longer than anybody reads."""

_ORDER: Final = list(ConditionType)


@dataclass(frozen=True)
class Statement:
    """What a policy says of a run now."""

    type: ConditionType
    status: Truth
    reason: str
    message: str


def find(conditions: Iterable[Condition], condition_type: ConditionType) -> Condition | None:
    return next((condition for condition in conditions if condition.type is condition_type), None)


def is_true(conditions: Iterable[Condition], condition_type: ConditionType) -> bool:
    condition = find(conditions, condition_type)
    return condition is not None and condition.status == "True"


def set_condition(
    conditions: Sequence[Condition], statement: Statement, generation: int, now: datetime
) -> list[Condition]:
    """`conditions` with one of them replaced or added, in the order of ConditionType."""
    old = find(conditions, statement.type)
    new = Condition(
        type=statement.type,
        status=statement.status,
        reason=statement.reason,
        message=statement.message[:MESSAGE_CHARACTERS],
        observed_generation=generation,
        last_transition_time=old.last_transition_time if old and old.status == statement.status else timestamp(now),
    )
    others = [condition for condition in conditions if condition.type is not statement.type]
    return sorted([*others, new], key=lambda condition: _ORDER.index(condition.type))


def set_conditions(
    conditions: Sequence[Condition], statements: Iterable[Statement], generation: int, now: datetime
) -> list[Condition]:
    """Of several statements of one type the last counts."""
    result = list(conditions)
    for statement in {statement.type: statement for statement in statements}.values():
        result = set_condition(result, statement, generation, now)
    return result


def micro_timestamp(moment: datetime) -> str:
    """As metav1.MicroTime."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def timestamp(moment: datetime) -> str:
    """As metav1.Time: RFC 3339 in UTC, whole seconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
