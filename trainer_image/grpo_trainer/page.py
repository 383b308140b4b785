"""The page of the run, beside learner 0: a process of its own, which is started again when it ends, and ends with the pod."""

import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from grpo_contract.environment import JOB_INDEX

MODULE: Final = "grpo_page"
PAUSE_S: Final = 30.0
LONGEST_PAUSE_S: Final = 1800.0

log = logging.getLogger(__name__)


def serve_page(config_file: Path) -> None:
    """In the pod of learner 0; nobody waits for it."""
    if os.environ.get(JOB_INDEX, "0") == "0":
        # As it is now: a process that is started while the launcher changes its own reads half of that (EFAULT).
        arguments = (config_file, dict(os.environ), pauses())
        threading.Thread(target=keep_serving, args=arguments, daemon=True, name="page").start()


def keep_serving(config_file: Path, environment: Mapping[str, str], pauses_s: Iterable[float]) -> None:
    """Said once: who asks how long learner 0 has said nothing is not to find this."""
    has_said = False
    for pause_s in pauses_s:
        try:
            code = subprocess.call([sys.executable, "-m", MODULE, str(config_file)], env=environment)
            end = f"has ended with code {code}"
        except OSError as error:  # no memory for it
            end = f"cannot be started: {error}"
        if not has_said:
            has_said = True
            log.warning("the page of completions %s; it is started again from time to time (said once)", end)
        time.sleep(pause_s)


def pauses() -> Iterator[float]:
    """Before it is started again: twice as long each time, for ever."""
    pause_s = PAUSE_S
    while True:
        yield pause_s
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
