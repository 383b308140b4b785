"""`python -m grpo_page`, in a pod of a run. Beside a learner it comes last: for the processors, and first to go when memory is
short."""

import contextlib
import os
import socket
import sys
from pathlib import Path
from typing import Final

import uvicorn

from grpo_contract.files import completions_folder
from grpo_contract.network import PAGE_PORT, every_address
from grpo_contract.pod import read_config, read_token
from grpo_page.app import build_app
from grpo_page.store import Store

LEAST_URGENT: Final = 19
"""Niceness."""
FIRST_TO_GO: Final = "1000"


def main() -> None:
    os.nice(LEAST_URGENT)
    with contextlib.suppress(OSError):  # a kernel that does not let it
        Path("/proc/self/oom_score_adj").write_text(FIRST_TO_GO)
    config = read_config(Path(sys.argv[1]) if sys.argv[1:] else None)
    app = build_app(config.name, config.uid, Store(Path(completions_folder(config.name, config.uid))), read_token)
    server = uvicorn.Server(uvicorn.Config(app, access_log=False, log_level="warning"))
    with listening(PAGE_PORT) as listener:  # of uvicorn's own, `::` has no IPv4
        server.run([listener])


def listening(port: int) -> socket.socket:
    """On all addresses of the pod."""
    host = every_address()
    is_dual = ":" in host
    family = socket.AF_INET6 if is_dual else socket.AF_INET
    return socket.create_server((host, port), family=family, dualstack_ipv6=is_dual)


if __name__ == "__main__":
    main()
