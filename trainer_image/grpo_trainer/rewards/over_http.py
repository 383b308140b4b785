"""A remote reward: a service that scores a batch of completions over HTTP.

It is called in a process of its own like any function of the user's, which ends whatever hangs. Here are the tries: trouble
that may pass (no connection, 429, 5xx) is met with another one until the time for the call is nearly up. What is told then is
the service's last word, and not only that time was up.
"""

import json
import os
import random
import time
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import requests
from requests.auth import AuthBase

from grpo_contract import environment
from grpo_contract.metrics import RewardError
from grpo_trainer.causes import chain, first_line
from grpo_trainer.rewards.completion import Completion
from grpo_trainer.rewards.registry import FROM_TRL, RewardFunction
from grpo_trainer.rewards.score import Failed, Score

NOT_SENT: Final = FROM_TRL - {"prompts", "completions"}
HEADERS: Final = {"Content-Type": "application/json", "Accept": "application/json"}

CONNECT_S: Final = 10.0
"""A pod of the service that has gone says nothing; the next try may find another."""
FIRST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 10.0
LEEWAY_S: Final = 1.0
LEEWAY_SHARE: Final = 0.1
"""Of the time for a call, but not more than LEEWAY_S: to be done with the last try before the process is ended."""
QUOTED: Final = 200
"""Characters of an answer."""


class NoScores(Exception):
    def __init__(self, reason: RewardError, why: str, *, may_pass: bool = False) -> None:
        super().__init__(why)
        self.reason = reason
        self.may_pass = may_pass


class BearerToken(AuthBase):
    """An `auth` of our own also keeps ~/.netrc out."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._token:
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def reward_at(url: str, timeout_s: float) -> RewardFunction:
    """`timeout_s`: after which the call is ended with its process."""
    session = requests.Session()
    session.auth = BearerToken(os.environ.get(environment.REWARD_TOKEN, "").strip())

    def score(completions: Sequence[Completion], **columns: Any) -> list[Score]:
        """One request for all of them; FAILED for each when there is no answer, or one without scores."""
        ends_at = time.monotonic() + timeout_s - min(LEEWAY_S, LEEWAY_SHARE * timeout_s)
        body = body_of({"completions": completions} | columns)
        try:
            return scores_in(answer_to(session, url, body, ends_at))
        except NoScores as error:
            return [Failed(error.reason, str(error))] * len(completions)

    return score


def body_of(columns: Mapping[str, Any]) -> bytes:
    """The keyword arguments of a reward function, as JSON.

    Raises:
        TypeError, ValueError: JSON has no word for what a column holds.
    """
    return json.dumps(
        {name: values for name, values in columns.items() if name not in NOT_SENT}, allow_nan=False
    ).encode()


def answer_to(session: requests.Session, url: str, body: bytes, ends_at: float) -> requests.Response:
    """With status 2xx.

    Raises:
        NoScores: there is none, also not to the last try.
    """
    tries = 0
    while True:
        tries += 1
        try:
            return one_try(session, url, body, ends_at)
        except NoScores as error:
            pause_s = pause_after(tries)
            if not error.may_pass or time.monotonic() + pause_s >= ends_at:
                raise NoScores(error.reason, f"{error} (try {tries})") from error
        time.sleep(pause_s)


def pause_after(tries: int) -> float:
    """Longer each time, and not the same on all ranks."""
    longest_s: float = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** min(tries - 1, 10))
    return random.uniform(longest_s / 2, longest_s)  # noqa: S311 (no secret)


def one_try(session: requests.Session, url: str, body: bytes, ends_at: float) -> requests.Response:
    left_s = max(0.001, ends_at - time.monotonic())
    try:
        response = session.post(
            url, data=body, headers=HEADERS, timeout=(min(CONNECT_S, left_s), left_s), allow_redirects=False
        )
    except requests.RequestException as error:
        raise no_answer(error, is_late=time.monotonic() >= ends_at) from error
    status = response.status_code
    if 200 <= status < 300:
        return response
    may_pass = status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR
    words = " ".join(f"{status} {response.reason} {response.text[:QUOTED]}".split())
    raise NoScores(RewardError.SERVICE_ERROR, f"it answered {words}", may_pass=may_pass)


def no_answer(error: requests.RequestException, *, is_late: bool) -> NoScores:
    """requests tells of a slow body with a ConnectionError, so that the clock decides what was the matter."""
    if is_late or isinstance(error, requests.ReadTimeout):
        return NoScores(RewardError.TIMEOUT, "it did not answer within spec.rewards.timeoutSeconds")
    *_, cause = chain(error)
    may_pass = isinstance(error, requests.ConnectionError | requests.exceptions.ChunkedEncodingError)
    return NoScores(
        RewardError.SERVICE_ERROR, f"no connection, {type(cause).__name__}: {first_line(cause)}", may_pass=may_pass
    )


def scores_in(response: requests.Response) -> list[Score]:
    """
    Raises:
        NoScores: it has none.
    """
    try:
        answer = response.json()
    except ValueError:
        answer = None
    scores = answer.get("scores") if isinstance(answer, dict) else None
    if not isinstance(scores, list) or not all(is_score(score) for score in scores):
        words = " ".join(response.text[:QUOTED].split())
        raise NoScores(RewardError.EXCEPTION, f'its answer has no "scores", a list of numbers and nulls: {words}')
    return scores


def is_score(score: Any) -> bool:
    return score is None or (isinstance(score, int | float) and not isinstance(score, bool))
