"""The API server's time. It dates deletions and creations, by which is decided how long something has lasted; the clock of the
node on which the operator happens to run may be wrong, or be moved meanwhile."""

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from time import monotonic
from typing import Final

COARSE_S: Final = 1.0
"""Answers are dated in whole seconds."""

logger = logging.getLogger(__name__)


class Clock:
    """Begins with this machine's time, goes on by seconds that have passed, and is put right by the dates of answers."""

    def __init__(self, started_at: datetime | None = None, elapsed_s: Callable[[], float] = monotonic) -> None:
        self._elapsed_s = elapsed_s
        self._set(started_at or datetime.now(UTC))

    def now(self) -> datetime:
        return self._set_at + timedelta(seconds=self._elapsed_s() - self._set_when_s)

    def answered(self, date: str | None, asked_at: datetime) -> None:
        """An answer is there, with this header (RFC 9110, section 6.6.1), to what was asked at `asked_at`: it was made in
        between. Not one that a proxy may have kept."""
        told, now = _time_of(date), self.now()
        if told is None or asked_at - timedelta(seconds=COARSE_S) <= told <= now + timedelta(seconds=COARSE_S):
            return
        logger.warning(
            "the clock was %+.0f s off the API server's, and goes by that one now", (now - told).total_seconds()
        )
        self._set(told)

    def _set(self, at: datetime) -> None:
        self._set_at, self._set_when_s = at, self._elapsed_s()


def _time_of(date: str | None) -> datetime | None:
    try:
        told = parsedate_to_datetime(date or "")
    except ValueError:
        return None
    return told if told.tzinfo else told.replace(tzinfo=UTC)  # of the forms without a zone
