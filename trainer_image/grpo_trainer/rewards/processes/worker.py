"""A reward process: `python -m grpo_trainer.rewards.processes.worker SOCKET PARENT`. It calls functions on its main
thread, one after the other, until training closes the socket or ends.

What a function prints goes where training's own output goes.
"""

import asyncio
import ctypes
import inspect
import logging
import math
import os
import pickle
import signal
import sys
from collections import defaultdict
from collections.abc import Awaitable, Iterator, Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from types import SimpleNamespace
from typing import Any, Final

from grpo_contract.failure import Failure, PodReason, UserError
from grpo_contract.metrics import RewardError
from grpo_contract.rewards import is_url
from grpo_trainer.causes import description, first_line
from grpo_trainer.instruments.logs import STEP, set_up_logging
from grpo_trainer.rewards.processes.messages import Call, Load, Loaded, Mishap, NotLoaded, Outcome, Signature
from grpo_trainer.rewards.registry import BUILT_IN, RewardFunction, load, required_columns
from grpo_trainer.rewards.score import Failed

PR_SET_PDEATHSIG: Final = 1
LARGEST: Final = 3.4028234663852886e38
"""Of float32, in which TRL keeps scores."""

NO_SOLUTION: Final = Mishap(RewardError.UNPARSABLE_SOLUTION, "there is no answer in the row's solution")
"""What None of a built-in function means."""

log = logging.getLogger(__name__)


def main(arguments: list[str]) -> None:
    descriptor, parent = map(int, arguments)
    end_with(parent)
    os.set_inheritable(descriptor, False)  # what a function starts must not keep the socket open
    set_up_logging()
    connection = Connection(descriptor)
    loaded = load_functions(connection.recv())
    if isinstance(loaded, NotLoaded):
        connection.send(loaded)
        return
    connection.send(Loaded({name: signature_of(function) for name, function in loaded.items()}))
    answer_calls(connection, Caller(loaded))


def end_with(parent: int) -> None:
    """Also when that is killed, and also out of a call that never comes back."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit()


def load_functions(wanted: Load) -> dict[str, RewardFunction] | NotLoaded:
    try:
        return {name: function_of(name, wanted) for name in wanted.names}
    except UserError as error:
        return NotLoaded(error.failure, is_users_mistake=True)
    except Exception as error:
        failure = Failure(reason=PodReason.LEARNER_ERROR, message=f"{type(error).__name__}: {first_line(error)}")
        return NotLoaded(failure, is_users_mistake=False)


def function_of(name: str, wanted: Load) -> RewardFunction:
    if not is_url(name):
        return load(name, wanted.arguments)
    from grpo_trainer.rewards.over_http import reward_at  # other processes need no HTTP

    return reward_at(name, wanted.timeout_s)


def signature_of(function: RewardFunction) -> Signature:
    return Signature(tuple(required_columns(function)), frozenset(inspect.signature(function).parameters))


def answer_calls(connection: Connection, caller: "Caller") -> None:
    while True:
        try:
            call: Call = connection.recv()
        except EOFError:
            return
        for outcome in caller.outcomes(call):
            connection.send_bytes(pickled(outcome))


def pickled(outcome: Outcome) -> bytes:
    """A function may log what cannot be sent."""
    try:
        return pickle.dumps(outcome)
    except Exception as error:  # of whatever was logged
        mishap = Mishap(RewardError.EXCEPTION, f"what it logged cannot leave its process: {first_line(error)}")
        return pickle.dumps(Outcome.without_scores(len(outcome.scores), mishap))


class Caller:
    """Calls the functions. Coroutines run in one event loop that lasts, as they do in TRL."""

    def __init__(self, functions: Mapping[str, RewardFunction]) -> None:
        self._functions = functions
        self._loop = asyncio.Runner()
        self._log_history: list[Any] = []
        self._told_of: set[tuple[str, type | str]] = set()

    def outcomes(self, call: Call) -> Iterator[Outcome]:
        if call.training:
            self._log_history += call.training.log_history
            STEP.number = call.training.fields["global_step"] + 1
        start = 0
        for size in call.sizes:
            columns = {name: values[start : start + size] for name, values in call.columns.items()}
            yield self._outcome(call, columns, size)
            start += size

    def _outcome(self, call: Call, columns: Mapping[str, Any], size: int) -> Outcome:
        logged = Logged()
        try:
            returned = self._functions[call.function](**columns, **self._of_training(call, logged))
            if inspect.isawaitable(returned):
                returned = self._loop.run(awaited(returned))
            found = [read(score) for score in returned]
        except BaseException as error:  # whatever it raises; math-verify's TimeoutException is no Exception
            self._tell(call.function, error)
            return Outcome.without_scores(size, Mishap(RewardError.EXCEPTION, description(error)))
        if len(found) != size:
            why = f"it returned {len(found)} scores for {size} completions"
            return Outcome.without_scores(size, Mishap(RewardError.WRONG_LENGTH, why))
        self._tell_of_odd_columns(call.function, logged, size)
        if call.function in BUILT_IN:
            found = [NO_SOLUTION if score is None else score for score in found]
        return outcome_of(found, logged)

    def _of_training(self, call: Call, logged: "Logged") -> dict[str, Any]:
        """What TRL hands to functions beside columns."""
        if call.training is None:
            return {}
        return {
            "trainer_state": SimpleNamespace(**call.training.fields, log_history=list(self._log_history)),
            "log_extra": lambda column, values: logged.extras[column].extend(values),
            "log_metric": lambda name, value: logged.metrics.append((name, float(value))),
        }

    def _tell(self, function: str, error: BaseException) -> None:
        """With the traceback, once for each type of error."""
        if (function, type(error)) not in self._told_of:
            self._told_of.add((function, type(error)))
            log.warning("reward function %s raised an error (told once)", function, exc_info=error)

    def _tell_of_odd_columns(self, function: str, logged: "Logged", size: int) -> None:
        """Once for each column."""
        for name, values in logged.extras.items():
            if len(values) != size and (function, name) not in self._told_of:
                self._told_of.add((function, name))
                log.warning(
                    "reward function %s gave log_extra %d values of %r for %d completions: they are not logged (told once)",
                    *(function, len(values), name, size),
                )


async def awaited(returned: Awaitable[Any]) -> Any:
    return await returned


def read(score: Any) -> float | Mishap | None:
    if isinstance(score, Failed):
        return Mishap(score.reason, score.why)
    if score is None or math.isnan(number := float(score)):
        return None
    return number if abs(number) <= LARGEST else Mishap(RewardError.FAILED, f"it returned {number}")


@dataclass
class Logged:
    """What a function tells TRL to log, in one call."""

    extras: dict[str, list[Any]] = field(default_factory=lambda: defaultdict(list))
    metrics: list[tuple[str, float]] = field(default_factory=list)


def outcome_of(found: list[float | Mishap | None], logged: Logged) -> Outcome:
    mishaps = {place: score for place, score in enumerate(found) if isinstance(score, Mishap)}
    # Of a column with another number of entries nobody could say which completion an entry is of.
    extras = {name: values for name, values in logged.extras.items() if len(values) == len(found)}
    return Outcome([None if isinstance(score, Mishap) else score for score in found], mishaps, extras, logged.metrics)


if __name__ == "__main__":
    main(sys.argv[1:])
