"""The page of the run, beside learner 0: a process of its own, which is started again when it ends, and ends with the pod."""

import logging
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Final

from grpo_contract import environment

MODULE: Final = "grpo_page"
PAUSE_S, LONGEST_PAUSE_S = 30.0, 1800.0
"""Before it is started again; each time twice as long."""

log = logging.getLogger(__name__)


def serve_page(config_file: Path) -> None:
    """In the pod of learner 0; nobody waits for it."""
    if os.environ.get(environment.JOB_INDEX, "0") == "0":
        threading.Thread(target=_serve_for_ever, args=[config_file], daemon=True, name="page").start()


def _serve_for_ever(config_file: Path) -> None:
    """Said once: who asks how long learner 0 has said nothing is not to find this."""
    pause, pause_s, has_said = threading.Event(), PAUSE_S, False
    while True:
        try:
            end = f"ended with code {subprocess.call([sys.executable, '-m', MODULE, str(config_file)])}"
        except OSError as error:  # no memory for it
            end = f"cannot be started: {error}"
        if not has_said:
            has_said = True
            log.warning("the page of completions %s; it is started again from time to time (said once)", end)
        pause.wait(pause_s)
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
