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
PAUSE_S: Final = 30.0
"""Before it is started again."""

log = logging.getLogger(__name__)


def serve_page(config_file: Path) -> None:
    """In the pod of learner 0; nobody waits for it."""
    if os.environ.get(environment.JOB_INDEX, "0") == "0":
        threading.Thread(target=_serve_for_ever, args=[config_file], daemon=True, name="page").start()


def _serve_for_ever(config_file: Path) -> None:
    pause = threading.Event()
    while True:
        try:
            code = subprocess.call([sys.executable, "-m", MODULE, str(config_file)])
        except OSError as error:  # no memory for it
            log.warning("the page of completions cannot be started: %s. Tried again every %.0f s", error, PAUSE_S)
        else:
            log.warning(
                "the page of completions has ended with code %d, and is started again after %.0f s", code, PAUSE_S
            )
        pause.wait(PAUSE_S)
