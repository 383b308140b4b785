"""A launcher whose pod is asked to end: how long its workers may go on."""

import logging
import math
from types import FrameType
from typing import Final

from grpo_contract.grace import LEARNER_GRACE_PERIOD_S
from grpo_contract.pod import grace_period_s
from grpo_trainer.end_request import EndRequest

LAST_S: Final = 3.0
"""Of the pod's grace period, for the end of workers that have not ended by themselves."""

log = logging.getLogger(__name__)


class EndOfPod:
    """Workers have no time where they have nothing to save, else until they should have come to save, and then until the pod's
    time is up; most end by themselves before."""

    def __init__(self, request: EndRequest) -> None:
        self._request = request
        self._is_asked = False
        self._pod_ends_s = math.inf
        self._saving_by_s = math.inf

    def ask(self, number: int, _: FrameType | None) -> None:
        """Handles SIGTERM."""
        self._is_asked = True

    def is_due(self, now_s: float) -> bool:
        if not self._is_asked:
            return False
        within_s = self._request.heeded_within_s()
        if self._pod_ends_s == math.inf:
            self._begin(within_s, now_s)
        elif within_s == math.inf:  # they save
            self._saving_by_s = math.inf
        return now_s >= min(self._saving_by_s, self._pod_ends_s)

    def _begin(self, within_s: float | None, now_s: float) -> None:
        time_s = max(LAST_S, grace_period_s(LEARNER_GRACE_PERIOD_S) - LAST_S)
        self._pod_ends_s, self._saving_by_s = now_s + time_s, now_s
        if within_s is None:
            return
        try:
            self._request.make()
        except OSError:
            log.exception("learners cannot be asked to end, and are ended")
            return
        self._saving_by_s = now_s + within_s
        log.info("the pod is asked to end: learners save the last finished step, if they can within %.0f s", time_s)
