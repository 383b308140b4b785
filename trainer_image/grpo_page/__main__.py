"""`python -m grpo_page`, in a pod of a run. Beside a learner it comes last for the processors, and has little memory, which is
the learner's."""

import contextlib
import logging
import os
import resource
import sys
from pathlib import Path
from typing import Final

import uvicorn

from grpo_contract import logs
from grpo_contract.files import completions_folder
from grpo_contract.network import LOOPBACK, PAGE_PORT
from grpo_contract.pod import read_config, read_token, token_of_page
from grpo_page.app import build_app
from grpo_page.store import Store

ROLE: Final = "page"
"""In its log."""
LEAST_URGENT: Final = 19
"""Niceness."""
FIRST_TO_GO: Final = "1000"
"""Where the kernel ends single processes for want of memory."""
MEMORY_BYTES: Final = 1 << 30
"""Beyond this a question fails, and not the pod."""


def main() -> None:
    os.nice(LEAST_URGENT)
    with contextlib.suppress(OSError):  # a kernel that does not let it
        Path("/proc/self/oom_score_adj").write_text(FIRST_TO_GO)
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))
    set_up_logging()
    config = read_config(Path(sys.argv[1]) if sys.argv[1:] else None)
    app = build_app(config.name, config.uid, Store(Path(completions_folder(config.name, config.uid))), page_token)
    uvicorn.run(app, host=LOOPBACK, port=PAGE_PORT, access_log=False, log_level="warning", log_config=None)


def set_up_logging() -> None:
    speaking = logs.handler(sys.stdout, ROLE, "%(asctime)s %(levelname)s page: %(message)s")
    logging.basicConfig(handlers=[speaking], level=logging.WARNING)


def page_token() -> str:
    return token_of_page(read_token())


if __name__ == "__main__":
    main()
