"""`python -m grpo_generator [--config FILE] [arguments of vLLM, which win over ours]`"""

import argparse
import os
import signal
import sys
from pathlib import Path

from grpo_contract import pod
from grpo_contract.failure import UserError
from grpo_contract.grace import GENERATOR_GRACE_PERIOD_S
from grpo_contract.network import every_address
from grpo_generator.arguments import build_arguments
from grpo_generator.environment import build_environment
from grpo_generator.log import set_up_logging
from grpo_generator.model import check_model
from grpo_generator.supervisor import supervise

SERVER = "grpo_generator.server"


def main() -> int:
    # Process 1 of a container ignores signals that it does not handle. There is nothing to finish yet.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    parser = argparse.ArgumentParser(prog="grpo_generator", allow_abbrev=False)
    parser.add_argument("--config", type=Path, help="the run's config file (default: where the operator mounts it)")
    options, vllm_arguments = parser.parse_known_args()
    set_up_logging()
    config = pod.read_config(options.config)
    try:
        check_model(config.recipe)
    except UserError as error:
        return pod.end_with_mistake(error)
    arguments = [*build_arguments(config, pod.pod_name(), every_address()), *vllm_arguments]
    environment = build_environment(config, os.environ)
    return supervise(
        [sys.executable, "-m", SERVER, *arguments], environment, pod.grace_period_s(GENERATOR_GRACE_PERIOD_S)
    )


if __name__ == "__main__":
    sys.exit(main())
