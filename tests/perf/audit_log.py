"""The API server's audit log as a clock: what was asked for by whom, when it was received, and when it was answered.

Pure: lines in, figures out. It starts nothing and reads no file.
"""

import json
import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

CREATED = 201


@dataclass(frozen=True)
class Request:
    """An answered request. Times are in seconds since the epoch."""

    user: str
    verb: str
    resource: str
    """With its subresource, if any: `jobs/status`. Empty for a path that is no resource."""
    namespace: str
    code: int
    received: float
    answered: float


def parse_line(line: bytes | str) -> Request | None:
    """None for a stage before the answer is complete, such as the start of a watch."""
    entry = json.loads(line)
    if entry["stage"] != "ResponseComplete":
        return None
    target = entry.get("objectRef", {})
    resource = "/".join(part for part in (target.get("resource"), target.get("subresource")) if part)
    return Request(
        user=entry["user"]["username"],
        verb=entry["verb"],
        resource=resource,
        namespace=target.get("namespace", ""),
        code=entry.get("responseStatus", {}).get("code", 0),
        received=_seconds(entry["requestReceivedTimestamp"]),
        answered=_seconds(entry["stageTimestamp"]),
    )


def creations(
    requests: Iterable[Request], resources: Collection[str], namespace: str, user: str | None = None
) -> list[Request]:
    """Requests that stored a new object, by create or by apply. `user` None: of anybody."""
    return [
        request
        for request in requests
        if request.code == CREATED
        and request.resource in resources
        and request.namespace == namespace
        and user in (None, request.user)
    ]


def last_answer_after(requests: Sequence[Request], received: float, count: int) -> float | None:
    """Seconds from `received` to the answer of the last of the first `count` requests; None when there are fewer."""
    answers = sorted(request.answered - received for request in requests if request.received >= received)
    return answers[count - 1] if len(answers) >= count else None


def is_write(request: Request) -> bool:
    return request.verb in {"create", "update", "patch", "delete", "deletecollection"}


def is_for_runs(request: Request) -> bool:
    """Whether it was asked for because of a run: leases and watches are there without any."""
    return request.resource != "leases" and request.verb != "watch"


def percentile(values: Sequence[float], share: float) -> float:
    """Nearest rank: of 30 values p99 is the largest."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def _seconds(timestamp: str) -> float:
    return datetime.fromisoformat(timestamp).timestamp()
