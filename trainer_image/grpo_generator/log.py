"""vLLM's log as this pod's: line by line as it comes, as text or as entries."""

import logging
import re
import sys
from typing import Final

from grpo_contract import logs
from grpo_contract.labels import Role
from grpo_contract.log_entry import without_overwritten

# "(EngineCore pid=12) ERROR 11-24 05:33:25 [core.py:900] ValueError: Cannot find ..."
LINE: Final = re.compile(
    r"(?P<process>\(\w[^)]*\) )?(?P<level>DEBUG|INFO|WARNING|ERROR|CRITICAL) [-\d]+ [\d:]+ \[(?P<place>[^\]]+)\] (?P<message>.*)"
)


def set_up_logging() -> None:
    """What vLLM says has its own time and level before it, where a person reads it."""
    logging.basicConfig(handlers=[logs.handler(sys.stdout, Role.GENERATOR, "%(message)s")], level=logging.DEBUG)


def tell(line: str) -> None:
    if not logs.are_json():
        logging.getLogger("vllm").info("%s", line)
    elif (found := LINE.match(line)) is None:
        logging.getLogger("vllm").info("%s", without_overwritten(line))
    else:
        level = logging.getLevelNamesMapping()[found["level"]]
        logging.getLogger(found["place"]).log(level, "%s", (found["process"] or "") + found["message"])
