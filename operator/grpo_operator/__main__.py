"""`python -m grpo_operator`"""

import argparse
import asyncio
import logging
from pathlib import Path

from grpo_operator.main import operate
from grpo_operator.serving import PORT
from grpo_operator.settings import SETTINGS_FILE, Settings


def main() -> None:
    parser = argparse.ArgumentParser(prog="grpo_operator", description=__doc__)
    parser.add_argument("--settings", type=Path, default=SETTINGS_FILE, help="the operator's settings (JSON)")
    parser.add_argument("--port", type=int, default=PORT, help="of /metrics and /healthz")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    asyncio.run(operate(Settings.load(arguments.settings), arguments.port))


if __name__ == "__main__":
    main()
