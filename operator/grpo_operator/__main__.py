"""`python -m grpo_operator`"""

import argparse
import asyncio
import gc
import logging
import sys
from pathlib import Path
from typing import Final

from grpo_contract import logs
from grpo_operator.main import operate
from grpo_operator.serving import PORT
from grpo_operator.settings import SETTINGS_FILE, Settings

ROLE: Final = "operator"
"""In its log."""
GARBAGE_THRESHOLDS: Final = 5_000, 5, 3
"""Of Python's garbage collector. Its default, a look for every 700 objects, is one for the JSON of a few events and costs
a tenth of the operator's time. All objects are looked at as often as by default, or garbage lies for long."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="grpo_operator", description=__doc__)
    parser.add_argument("--settings", type=Path, default=SETTINGS_FILE, help="the operator's settings (JSON)")
    parser.add_argument("--port", type=int, default=PORT, help="of /metrics and /healthz")
    arguments = parser.parse_args()
    gc.freeze()  # modules stay as long as the process: no collection need look at them
    gc.set_threshold(*GARBAGE_THRESHOLDS)
    speaking = logs.handler(sys.stdout, ROLE, "%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.basicConfig(handlers=[speaking], level=logging.INFO)
    asyncio.run(operate(Settings.load(arguments.settings), arguments.port))


if __name__ == "__main__":
    main()
