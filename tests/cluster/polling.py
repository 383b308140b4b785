"""The loop of the cluster's own two daemons."""

import http.client
import sys
import time
from collections.abc import Callable
from typing import NoReturn

from cluster.api import ApiError


def repeat(work: Callable[[], None], interval_s: float) -> NoReturn:
    """Until the process is killed. While the API server restarts, the work fails and is tried again."""
    while True:
        try:
            work()
        except (OSError, http.client.HTTPException, ApiError) as error:
            print(error, file=sys.stderr)
        time.sleep(interval_s)
