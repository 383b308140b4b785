"""The learner's end of an update of one generator, over HTTP: stage, then swap (grpo_contract.weights).

Rules of vLLM 0.31 that this file keeps:
- a completion request that arrives while an update is open kills the engine: pause and resume around every update;
- a server that is started twice into an update answers 500: the update that a dead learner left open is finished first.
"""

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Protocol

import requests

from grpo_contract.config import Deadlines
from grpo_contract.network import FINISH_UPDATE_PATH, START_UPDATE_PATH, UPDATE_PATH
from grpo_contract.weights import STAGE_PATH, StageAnswer, StagedWeights
from grpo_trainer.fleet.breakable import breakable
from grpo_trainer.fleet.errors import GeneratorLost
from grpo_trainer.fleet.patience import Patience
from grpo_trainer.fleet.weights import Offering


@dataclass(frozen=True)
class Update:
    version: str
    seconds: float
    pause_s: float
    """Of these, how long the generator wrote nothing."""
    size_bytes: int


class WeightSource(Protocol):
    @property
    def version(self) -> str: ...

    def offering(self) -> contextlib.AbstractContextManager[Offering]: ...


class Request(Protocol):
    """
    Raises:
        GeneratorLost: there is no answer, or one that is not OK.
    """

    def __call__(self, method: str, path: str, body: dict[str, Any] | None, timeout_s: float) -> requests.Response: ...


class Updating:
    """Of one generator."""

    def __init__(self, request: Request, patience: Patience, deadlines: Deadlines) -> None:
        self._request, self._patience, self._deadlines = request, patience, deadlines

    def stage(self, offering: Offering) -> StagedWeights:
        """It fetches the weights and goes on as before.

        Raises:
            GeneratorLost: it could not; it still computes with those that it had.
        """
        offer = offering.offer
        answer = self._patient_request(STAGE_PATH, offer.model_dump(mode="json"), lambda: offering.is_silent)
        try:
            staged = StageAnswer.model_validate_json(answer.content)
        except ValueError as error:
            raise GeneratorLost(f"{STAGE_PATH}: {answer.status_code}, but not what a generator answers") from error
        return StagedWeights(path=staged.path, version=offer.version, tensors=offer.tensors)

    def swap(self, staged: StagedWeights, on_failure: Callable[[], None]) -> float:
        """It computes with the staged weights from here on. Returns the seconds that it stood still.

        `on_failure` is called before it goes on with weights that nobody knows.

        Raises:
            GeneratorLost: its version is not the staged one.
        """
        started = time.perf_counter()
        with self._paused(on_failure):
            self._open()
            self._patient_request(UPDATE_PATH, {"update_info": staged.model_dump(mode="json")})
            self._patient_request(FINISH_UPDATE_PATH, {"weight_version": staged.version})
            self._request("POST", "/reset_prefix_cache?reset_running_requests=true", {}, self._deadlines.control_s)
        return time.perf_counter() - started

    def _patient_request(
        self, path: str, body: dict[str, Any], is_silent: Callable[[], bool] = lambda: False
    ) -> requests.Response:
        """It may take as long as weights take."""
        with breakable(self._request, "POST", path, body, self._deadlines.weight_sync_s) as answer:
            return self._patience.wait_for(answer, path, is_silent)

    @contextlib.contextmanager
    def _paused(self, on_failure: Callable[[], None]) -> Iterator[None]:
        """What is being generated waits ("keep")."""
        self._request("POST", "/pause?mode=keep", {}, self._deadlines.control_s)
        try:
            yield
        except GeneratorLost:
            on_failure()
            with contextlib.suppress(GeneratorLost):  # the first error is the one to tell
                self._request("POST", "/resume", {}, self._deadlines.control_s)
            raise
        self._request("POST", "/resume", {}, self._deadlines.control_s)

    def _open(self) -> None:
        try:
            self._request("POST", START_UPDATE_PATH, {}, self._deadlines.control_s)
        except GeneratorLost as error:
            if error.status != HTTPStatus.INTERNAL_SERVER_ERROR:
                raise
            self._request("POST", FINISH_UPDATE_PATH, {}, self._deadlines.control_s)
            self._request("POST", START_UPDATE_PATH, {}, self._deadlines.control_s)
