"""The end of a process that cannot go on."""

import logging
import os
import sys
from typing import NoReturn

from grpo_contract.failure import Failure
from grpo_contract.pod import report_failure

log = logging.getLogger(__name__)


def fail(failure: Failure, code: int) -> NoReturn:
    """At once: threads and collectives that wait for other processes must not keep a failed one alive."""
    log.error("%s: %s", failure.reason, failure.message)
    report_failure(failure)
    sys.stdout.flush()
    sys.stderr.flush()
    logging.shutdown()
    os._exit(code)
