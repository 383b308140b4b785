"""What stands before every route of vLLM: the run's token, readiness, the generator's name and its weights' version, and a
route of ours that fetches weights. Plain ASGI.

vLLM's own --api-key guards only /v1, not the routes that change weights.
"""

import hmac
import json
from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import Any, Final

from grpo_contract import pod
from grpo_contract.network import (
    GENERATOR_HEADER,
    GENERATOR_OPEN_PATHS,
    GENERATOR_READY_PATH,
    REQUEST_ID_HEADER,
    SWAPS_HEADER,
    UNSET_WEIGHT_VERSION,
    WEIGHTS_HEADER,
)
from grpo_contract.weights import STAGE_PATH
from grpo_generator.in_flight import InFlight, as_header
from grpo_generator.staging import StageFailed, Staging

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

UPDATE_PATH: Final = "/update_weights"
FINISH_PATH: Final = "/finish_weight_update"
POLICY_VIOLATION: Final = 1008


class GeneratorMiddleware:
    """Ready from the first update of the run's weights on; not between one that failed and the next."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._name = pod.pod_name().encode()
        self._ready = False
        self._version = UNSET_WEIGHT_VERSION
        self._staging = Staging()
        self._in_flight = InFlight()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, self._signed(send))
        elif self._is_authorized(scope):
            await self._app(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": POLICY_VIOLATION})

    async def _http(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["path"] not in GENERATOR_OPEN_PATHS and not self._is_authorized(scope):
            await _answer(send, HTTPStatus.UNAUTHORIZED, {"error": "the token of the run is needed"})
        elif scope["path"] == GENERATOR_READY_PATH:
            status = HTTPStatus.OK if self._ready else HTTPStatus.SERVICE_UNAVAILABLE
            await _answer(send, status, {"ready": self._ready})
        elif scope["path"] == STAGE_PATH and scope["method"] == "POST":
            await self._stage(receive, send)
        else:
            await self._observed(scope, receive, send)

    def _is_authorized(self, scope: Message) -> bool:
        presented = [value for name, value in scope["headers"] if name == b"authorization"]
        # Read anew: the Secret may have been made again.
        return len(presented) == 1 and hmac.compare_digest(presented[0], f"Bearer {pod.read_token()}".encode())

    def _signed(self, send: Send) -> Send:
        async def signed(message: Message) -> None:
            if message["type"] == "http.response.start":
                signature = [(GENERATOR_HEADER.encode(), self._name), (WEIGHTS_HEADER.encode(), self._version.encode())]
                message["headers"] = [*message.get("headers", []), *signature]
            await send(message)

        return signed

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
                answered = True
                await self._observe(scope, message["status"])
                if swaps := self._in_flight.take(request_id):
                    message["headers"] = [*message.get("headers", []), (SWAPS_HEADER.encode(), as_header(swaps))]
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

    async def _observe(self, scope: Message, status: int) -> None:
        """Before the answer to an update leaves, so that its caller finds the readiness that follows from it."""
        if scope["path"] == UPDATE_PATH and status != HTTPStatus.OK:
            self._ready = False
        elif scope["path"] == FINISH_PATH and status == HTTPStatus.OK:
            engine = scope["app"].state.engine_client
            self._version = await engine.get_weight_version()
            self._ready = self._version != UNSET_WEIGHT_VERSION
            self._in_flight.swapped(engine, self._version)


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
