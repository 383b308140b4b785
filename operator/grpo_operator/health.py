"""When the operator itself is ill, so that a new process would help. What ails the cluster is not meant."""

from typing import Final

from grpo_operator.cache import Cache, Key
from grpo_operator.workqueue import WorkQueue

STUCK_AFTER_S: Final = 180.0
"""A look is a handful of requests, each with a deadline."""

DEAF_AFTER_S: Final = 120.0
"""A watch tells of each of our writes within moments, and reconnects within minutes when its connection has died."""


def ailment(queue: WorkQueue[Key], cache: Cache, is_leading: bool) -> str | None:
    """One sentence, or None. A replica that waits for its turn has nothing to be judged by."""
    if not is_leading:
        return None
    if queue.longest_in_work_s > STUCK_AFTER_S:
        return f"a look at a run has not ended for {queue.longest_in_work_s:.0f} s: a worker hangs"
    if cache.oldest_unconfirmed_s > DEAF_AFTER_S:
        return f"a write was not reported for {cache.oldest_unconfirmed_s:.0f} s: a watch has died"
    return None
