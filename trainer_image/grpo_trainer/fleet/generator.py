"""One vLLM server as the learner sees it: which weights it holds, giving it others, completions.

A fresh server reports the version "default".
"""

import contextlib
import json
import math
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import requests
from urllib3.exceptions import NewConnectionError

from grpo_contract.config import Deadlines
from grpo_contract.failure import QUOTED_CHARACTERS
from grpo_contract.network import (
    COMPLETIONS_PATH,
    GENERATOR_HEADER,
    GENERATOR_READY_PATH,
    LEAVING_HEADER,
    REQUEST_ID_HEADER,
    SERVED_MODEL_NAME,
    SWAPS_HEADER,
    WEIGHT_INFO_PATH,
    WEIGHTS_HEADER,
    WIDTH_HEADER,
)
from grpo_trainer.fleet.breakable import BreakableAdapter, breakable
from grpo_trainer.fleet.completion import Completion, completions_of, versions_of
from grpo_trainer.fleet.errors import GeneratorLost
from grpo_trainer.fleet.patience import Patience
from grpo_trainer.fleet.refusal import REFUSALS, refused_completions, words_of
from grpo_trainer.fleet.update import Update, Updating, WeightSource
from grpo_trainer.fleet.weights import count_of

MOST_REQUESTS: Final = 32
"""For completions, that one share of the prompts is split into. All are under way together: vLLM batches their prompts."""
MOST_CONNECTIONS: Final = 4 * MOST_REQUESTS
"""Shares of several batches are under way together, and groups of a lost generator come on top."""
CONNECT_S: Final = 3.0
"""At most: a kernel accepts connections whatever its processes do. Nobody refuses them at the address of a pod that is gone."""
SPELL_VERSIONS: Final = 1024
"""Of a spell that are remembered, the last ones: more than come while a request is under way. Those are the versions that
maxStaleness allows, and those of evaluations in between."""


class Generator:
    def __init__(self, url: str, read_token: Callable[[], str], deadlines: Deadlines) -> None:
        """The token is read for each request: the Secret that it is in may have been made again."""
        self.url = url
        self.name = url.removeprefix("http://")
        """Of its pod, once it answered."""
        self.width: float = math.inf
        """How many sequences it writes at once, by its own word; it is asked before it is given anything to write."""
        self.is_leaving = False
        """By its own word: it was asked to end, and finishes what it is writing."""
        self.held_version: str | None = None
        """What it is known to hold; None when it was never updated or anything went wrong since."""
        self.swapping = threading.Lock()
        """Held while its weights are swapped, and while they are asked for; not while new ones are on their way to it."""
        self.spell: list[str] = []
        """The last versions that it was given one after the other, with nothing going wrong in between; after that, another
        list."""
        self._read_token, self._deadlines = read_token, deadlines
        self._session = requests.Session()
        self._session.trust_env = False  # a proxy for the hub is none for pods
        # vLLM closes idle connections after 5 s: one that it closes as we send would look like a dead generator.
        self._session.headers["Connection"] = "close"
        self._session.mount("http://", BreakableAdapter(pool_maxsize=MOST_CONNECTIONS))
        self._patience = Patience(self._answers)
        self._updating = Updating(self._request, self._patience, deadlines)

    def holds(self, version: str) -> bool:
        """Whether it says so itself and nothing has gone wrong since it was given that version.

        Raises:
            GeneratorLost: it cannot be reached.
        """
        try:
            with self.swapping:
                return self._version() == self.held_version == version
        except GeneratorLost:
            if not self.is_leaving:  # else it may have gone, and what it has written is there to be read
                self.forget_version()
            raise

    def holds_since(self, oldest: int) -> bool:
        """Whether it is known to hold that version or a later one; versions are counted."""
        version = self.held_version
        return version is not None and count_of(version) >= oldest

    def forget_version(self) -> None:
        """It is not known any more which weights it holds."""
        self.held_version, self.spell = None, []

    def update(self, weights: WeightSource) -> Update:
        """Give it the newest weights. It goes on writing while they come, stands still while it swaps them, and goes on with
        them.

        Raises:
            GeneratorLost: it does not hold them, or that is not known.
        """
        started = time.perf_counter()
        try:
            with weights.offering() as offering:
                staged = self._updating.stage(offering)
        except GeneratorLost:
            self.held_version = None  # but what it is writing goes on as before
            raise
        with self._knowing_no_version_on_failure(), self.swapping:
            if not self.spell:
                self.spell = []  # what is being written began before it
            self.spell.append(staged.version)
            del self.spell[:-SPELL_VERSIONS]
            pause_s = self._updating.swap(staged, self.forget_version)
            self.held_version = staged.version
        return Update(staged.version, time.perf_counter() - started, pause_s, offering.sent_bytes)

    def complete(
        self, prompts: Sequence[list[int]], num_generations: int, sampling: Mapping[str, Any], version: str
    ) -> list[list[Completion]]:
        """num_generations completions of each prompt, sampled from weights of that version, which it holds (`holds`), and from
        later ones as soon as it was given them.

        Raises:
            GeneratorLost: it failed, or weights came in between that were not newer ones of this learner's.
            UserError: it says that the request is wrong.
        """
        spell = self.spell
        answer = self._completions({"prompt": list(prompts), "n": num_generations, **sampling})
        with _understood(answer) as content:
            held = answer.headers[WEIGHTS_HEADER]
            if held != version and not (held in spell and count_of(held) > count_of(version)):
                raise GeneratorLost(f"it holds weights {held} after a request that wanted {version}")
            if self.spell is not spell:  # and nobody knows what it held before that
                raise GeneratorLost("it was given its weights again during a request")
            swaps = json.loads(answer.headers.get(SWAPS_HEADER, "{}"))
            if versions_of(swaps).difference(spell):
                raise GeneratorLost("it was given weights during a request that are none of this learner's")
            return completions_of(content, swaps, version, len(prompts), num_generations)

    def _completions(self, request: dict[str, Any]) -> requests.Response:
        body = {"model": SERVED_MODEL_NAME, **request, "return_token_ids": True, "return_tokens_as_token_ids": True}
        named = {REQUEST_ID_HEADER: uuid.uuid4().hex}
        arguments = ("POST", COMPLETIONS_PATH, body, self._deadlines.generate_s, named)
        try:
            with breakable(self._request, *arguments) as answer:
                return self._patience.wait_for(answer, COMPLETIONS_PATH)
        except GeneratorLost as error:
            if error.status in REFUSALS:
                raise refused_completions(self.name, error.words) from error
            raise

    def _answers(self) -> bool:
        """Anything at all. The network may be away for a while, and what it is writing is worth that."""
        try:
            control_s = self._deadlines.control_s
            self._request("GET", GENERATOR_READY_PATH, None, control_s, connect_s=control_s)
        except GeneratorLost as error:
            return error.status is not None
        return True

    def _version(self) -> str:
        answer = self._request("GET", WEIGHT_INFO_PATH, None, self._deadlines.control_s)
        with _understood(answer) as content:
            self.width = int(answer.headers[WIDTH_HEADER])
            self.is_leaving = LEAVING_HEADER in answer.headers  # or another pod has its address now
            return str(content["weight_version"])

    def _request(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None,
        timeout_s: float,
        headers: Mapping[str, str] = MappingProxyType({}),
        connect_s: float | None = None,
    ) -> requests.Response:
        timeouts = (connect_s or min(CONNECT_S, self._deadlines.control_s), timeout_s)
        headers = {"Authorization": f"Bearer {self._read_token()}", **headers}
        try:
            answer = self._session.request(method, self.url + path, json=body, headers=headers, timeout=timeouts)
        except requests.RequestException as error:
            raise GeneratorLost(f"{path}: {error}", is_down=_found_no_port(error)) from error
        self.name = answer.headers.get(GENERATOR_HEADER, self.name)
        is_leaving = LEAVING_HEADER in answer.headers
        self.is_leaving = self.is_leaving or is_leaving  # an answer that was made before may come later
        if not answer.ok:
            words = words_of(answer.text)
            raise GeneratorLost(
                f"{path}: {answer.status_code} {words}", answer.status_code, words, is_leaving=is_leaving
            )
        return answer

    @contextlib.contextmanager
    def _knowing_no_version_on_failure(self) -> Iterator[None]:
        try:
            yield
        except GeneratorLost:
            self.forget_version()
            raise


def _found_no_port(error: requests.RequestException) -> bool:
    reason = getattr(error.args[0], "reason", None) if error.args else None
    return isinstance(reason, NewConnectionError)


@contextlib.contextmanager
def _understood(answer: requests.Response) -> Iterator[Any]:
    """Its content, to be read in the `with` block: what says OK on a generator's port need not be vLLM.

    Raises:
        GeneratorLost: it is not what the block takes it for.
    """
    try:
        yield answer.json()
    except (ValueError, LookupError, TypeError) as error:
        words = " ".join(answer.content[:QUOTED_CHARACTERS].decode(errors="replace").split())
        path = answer.request.path_url
        raise GeneratorLost(f"{path}: {answer.status_code}, but not what vLLM answers: {words or 'nothing'}") from error
