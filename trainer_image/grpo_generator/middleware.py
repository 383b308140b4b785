"""What stands before every route of vLLM: the run's token, readiness, health, the generator's name, what weights wrote
completions, and a route of ours that fetches weights. Plain ASGI.

vLLM's own --api-key guards only /v1, not the routes that change weights.
"""

import hmac
import json
import os
import time
from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import Any, Final

from grpo_contract import pod
from grpo_contract.network import (
    COMPLETIONS_PATH,
    FINISH_UPDATE_PATH,
    GENERATOR_HEADER,
    GENERATOR_HEALTH_PATH,
    GENERATOR_OPEN_PATHS,
    GENERATOR_READY_PATH,
    LEAVING_HEADER,
    REQUEST_ID_HEADER,
    START_UPDATE_PATH,
    SWAPS_HEADER,
    UNSET_WEIGHT_VERSION,
    UPDATE_PATH,
    WEIGHT_INFO_PATH,
    WEIGHTS_HEADER,
    WIDTH_HEADER,
)
from grpo_contract.weights import STAGE_PATH
from grpo_generator.environment import SWAP_SECONDS
from grpo_generator.in_flight import InFlight, as_header
from grpo_generator.leaving import Leaving
from grpo_generator.pulse import Pulse
from grpo_generator.staging import StageFailed, Staging

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

SWAP_PATHS: Final = frozenset({START_UPDATE_PATH, UPDATE_PATH, FINISH_UPDATE_PATH})
POLICY_VIOLATION: Final = 1008


class GeneratorMiddleware:
    """Ready from the first update of the run's weights on; not between one that failed and the next, nor once it is to end."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._name = pod.pod_name().encode()
        self._ready = False
        self._staging = Staging()
        self._in_flight = InFlight()
        self._leaving = Leaving()
        self._pulse = Pulse(float(os.environ[SWAP_SECONDS]), time.monotonic)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            self._leaving.listen()
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, self._named(send))
        elif self._is_authorized(scope):
            await self._app(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": POLICY_VIOLATION})

    async def _http(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["path"] not in GENERATOR_OPEN_PATHS and not self._is_authorized(scope):
            await _answer(send, HTTPStatus.UNAUTHORIZED, {"error": "the token of the run is needed"})
        elif scope["path"] == GENERATOR_READY_PATH:
            is_ready = self._ready and not self._leaving.is_asked
            await _answer(send, HTTPStatus.OK if is_ready else HTTPStatus.SERVICE_UNAVAILABLE, {"ready": is_ready})
        elif scope["path"] == GENERATOR_HEALTH_PATH and not self._pulse.beats(_engine(scope).get_weight_version):
            await _answer(send, HTTPStatus.SERVICE_UNAVAILABLE, {"error": "the engine gives no answer"})
        elif scope["path"] == STAGE_PATH and scope["method"] == "POST":
            await self._stage(receive, send)
        elif scope["path"] == COMPLETIONS_PATH:
            await self._complete(scope, receive, send)
        elif scope["path"] in SWAP_PATHS:
            with self._pulse.swapping():
                await self._observed(scope, receive, send)
        else:
            await self._observed(scope, receive, send)

    def _is_authorized(self, scope: Message) -> bool:
        presented = [value for name, value in scope["headers"] if name == b"authorization"]
        # Read anew: the Secret may have been made again.
        return len(presented) == 1 and hmac.compare_digest(presented[0], f"Bearer {pod.read_token()}".encode())

    def _named(self, send: Send) -> Send:
        async def named(message: Message) -> None:
            if message["type"] == "http.response.start":
                _add_header(message, GENERATOR_HEADER, self._name)
                if self._leaving.is_asked:
                    _add_header(message, LEAVING_HEADER, b"1")
            await send(message)

        return named

    async def _complete(self, scope: Message, receive: Receive, send: Send) -> None:
        if self._leaving.is_asked:
            await _answer(send, HTTPStatus.SERVICE_UNAVAILABLE, {"error": {"message": "it is asked to end"}})
        else:
            with self._leaving.answering():
                await self._observed(scope, receive, send)

    async def _stage(self, receive: Receive, send: Send) -> None:
        """Readiness stays as it is: whatever comes of it, vLLM computes with the same weights as before."""
        try:
            answer = json.loads(await self._staging.stage(await _body(receive)))
        except StageFailed as error:
            answer = {"error": str(error)}
        status = HTTPStatus.BAD_GATEWAY if "error" in answer else HTTPStatus.OK
        await _answer(send, status, answer)

    async def _observed(self, scope: Message, receive: Receive, send: Send) -> None:
        answered, request_id = False, _header(scope, REQUEST_ID_HEADER)

        async def observing_send(message: Message) -> None:
            nonlocal answered
            if message["type"] == "http.response.start":
                for name, value in (await self._observe(scope, message["status"], request_id)).items():
                    _add_header(message, name, value)
                answered = True
            await send(message)

        try:
            await self._app(scope, receive, observing_send)
        except Exception as error:
            # Starlette answers for what its application did not catch, but without coming through here.
            if not answered:
                await _answer(observing_send, HTTPStatus.INTERNAL_SERVER_ERROR, {"error": str(error)})
            raise
        finally:
            self._in_flight.take(request_id)  # of one that nobody waits for any more

    async def _observe(self, scope: Message, status: int, request_id: str) -> dict[str, bytes]:
        """Before an answer of vLLM leaves, so that who asked for an update finds the readiness that follows from it. Returns
        the headers that the answer is to have."""
        path, headers = scope["path"], {}
        if status != HTTPStatus.OK:
            self._ready = self._ready and path != UPDATE_PATH
        elif path == FINISH_UPDATE_PATH:
            version = await _weight_version(scope)
            self._ready = version != UNSET_WEIGHT_VERSION
            self._in_flight.swapped(_engine(scope), version)
        elif path == WEIGHT_INFO_PATH:
            headers[WIDTH_HEADER] = str(_width(scope)).encode()
        elif path == COMPLETIONS_PATH:
            headers[WEIGHTS_HEADER] = (await _weight_version(scope)).encode()
            if swaps := self._in_flight.take(request_id):
                headers[SWAPS_HEADER] = as_header(swaps)
        return headers


def _engine(scope: Message) -> Any:
    """vLLM's client of it."""
    return scope["app"].state.engine_client


async def _weight_version(scope: Message) -> str:
    version: str = await _engine(scope).get_weight_version()
    return version


def _width(scope: Message) -> int:
    width: int = _engine(scope).vllm_config.scheduler_config.max_num_seqs
    return width


def _add_header(message: Message, name: str, value: bytes) -> None:
    message["headers"] = [*message.get("headers", []), (name.encode(), value)]


def _header(scope: Message, name: str) -> str:
    values = [value for known, value in scope["headers"] if known == name.encode()]
    return b"".join(values).decode("latin-1")


async def _body(receive: Receive) -> bytes:
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


async def _answer(send: Send, status: HTTPStatus, body: dict[str, Any]) -> None:
    content = json.dumps(body).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
    await send({"type": "http.response.start", "status": status.value, "headers": headers})
    await send({"type": "http.response.body", "body": content})
