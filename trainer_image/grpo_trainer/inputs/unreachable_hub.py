"""The hub gives no answer: the pods' network does not lead there, a proxy is not set, it is down. No mistake of the user's
for certain, so another attempt may find it; what to look at is said all the same.
"""

import contextlib
from collections.abc import Iterator
from typing import Final

import httpx
from huggingface_hub import constants
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
from huggingface_hub.utils import get_session, hf_raise_for_status

from grpo_contract.failure import QUOTED_CHARACTERS, PodReason, RunFailure
from grpo_contract.paths import is_path
from grpo_trainer.causes import chain, first_line, modules_of

NO_ANSWER: Final = (httpx.TransportError, ConnectionError, LocalEntryNotFoundError)
CLIENTS: Final = frozenset({"huggingface_hub", "datasets"})
"""Other connections, as those to generators, are no business of the hub's."""
CUTS_CAUSES: Final = "datasets"
"""Says of what its own request met the name of the class alone, and raises that from None."""


@contextlib.contextmanager
def unreachable_hub_named(key: str, name: str) -> Iterator[None]:
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
    return RunFailure(
        PodReason.HUB_UNREACHABLE,
        f"spec.recipe.{key}: {name!r} cannot be had from the hub at {constants.ENDPOINT}, "
        f"{first_line(root(error))[:QUOTED_CHARACTERS]}; let the run's pods reach it (HF_ENDPOINT, or HTTPS_PROXY, in "
        f"spec.learners.env and spec.generators.env), or give a path on the volume.",
    )


def root(error: BaseException) -> BaseException:
    """The innermost trouble: "Connection refused", and not only "try again"."""
    *_, innermost = [error, *filter(is_trouble, chain(error))]
    raised_by = [module.partition(".")[0] for module in modules_of(innermost)[-1:]]
    return (trouble_now() if raised_by == [CUTS_CAUSES] else None) or innermost


def trouble_now() -> BaseException | None:
    """What one more request meets; None when the hub is back."""
    try:
        hf_raise_for_status(get_session().head(constants.ENDPOINT, timeout=constants.HF_HUB_ETAG_TIMEOUT))
    except (*NO_ANSWER, HfHubHTTPError) as error:
        return error if is_trouble(error) else None
    return None


def is_of_client(cause: BaseException) -> bool:
    return is_trouble(cause) and any(module.partition(".")[0] in CLIENTS for module in modules_of(cause))


def is_trouble(cause: BaseException) -> bool:
    return isinstance(cause, NO_ANSWER) or (isinstance(cause, HfHubHTTPError) and is_overloaded(cause.response))


def is_overloaded(response: httpx.Response | None) -> bool:
    return response is not None and (response.is_server_error or response.status_code == httpx.codes.TOO_MANY_REQUESTS)
