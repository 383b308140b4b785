"""The hub gives no answer: the pods' network does not lead there, a proxy is not set, it is down. No mistake of the user's
for certain, so another attempt may find it; what to look at is said all the same.
"""

import contextlib
from collections.abc import Iterator
from typing import Final

import httpx
from huggingface_hub import constants
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

from grpo_contract.failure import HUB_UNREACHABLE, QUOTED_CHARACTERS, RunFailure
from grpo_contract.paths import is_path
from grpo_trainer.causes import chain, first_line, modules_of

NO_ANSWER: Final = (httpx.TransportError, ConnectionError, LocalEntryNotFoundError)
CLIENTS: Final = frozenset({"huggingface_hub", "datasets"})
"""Other connections, as those to generators, are no business of the hub's."""

MODEL_KEY: Final = "model_name_or_path"


@contextlib.contextmanager
def hub_reached(key: str, name: str) -> Iterator[None]:
    """Around what loads `name`, which spec.recipe.`key` says, from the hub if it is no path.

    Raises:
        RunFailure: the hub gave no answer, or one that is about the hub itself.
    """
    try:
        yield
    except Exception as error:
        if is_path(name) or isinstance(error, RunFailure) or not any(map(is_of_client, chain(error))):
            raise
        raise unreachable(key, name, error) from error


def unreachable(key: str, name: str, error: BaseException) -> RunFailure:
    *_, innermost = [error, *filter(is_trouble, chain(error))]  # "Connection refused", and not only "try again"
    return RunFailure(
        HUB_UNREACHABLE,
        f"spec.recipe.{key}: {name!r} cannot be had from the hub at {constants.ENDPOINT}, "
        f"{first_line(innermost)[:QUOTED_CHARACTERS]}; let the run's pods reach it (HF_ENDPOINT, or HTTPS_PROXY, in "
        f"spec.learners.env and spec.generators.env), or give a path on the volume.",
    )


def is_of_client(cause: BaseException) -> bool:
    return is_trouble(cause) and any(module.partition(".")[0] in CLIENTS for module in modules_of(cause))


def is_trouble(cause: BaseException) -> bool:
    return isinstance(cause, NO_ANSWER) or (isinstance(cause, HfHubHTTPError) and is_overloaded(cause.response))


def is_overloaded(response: httpx.Response | None) -> bool:
    return response is not None and (response.is_server_error or response.status_code == httpx.codes.TOO_MANY_REQUESTS)
