"""`python -m perf.paced_server`: a generator that writes completions at a set rate and computes nothing.

It answers what learners ask of vLLM (grpo_trainer/fleet/generator.py), so that a learner is measured without the processor
time, the memory and the moods of a real one. Up to --slots completions are written at once, each at --seconds-per-token; of
more, all become slower in proportion. A batch of as many completions as there are slots so takes max_tokens x seconds per
token, and two such batches take twice as long. While it is paused nothing is written.

- Completions are max_tokens long. Their tokens come from a hash of the prompt and of their place in the group; each is said to
  be as likely as any other of the vocabulary.
- Weights are really pulled: all bytes of an offer are read from the learner, from the second version on what has changed, and
  thrown away unseen. A pull that brings no byte (the token was refused) is answered with 500. A swap takes no time.
- It asks for no token, and takes the calls of an update in any order.

Needs aiohttp and grpo_contract, and so neither torch nor vLLM.
"""

import argparse
import asyncio
import hashlib
import json
import math
from array import array
from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiohttp import web

from grpo_contract.network import (
    FINISH_UPDATE_PATH,
    GENERATOR_HEADER,
    GENERATOR_HEALTH_PATH,
    GENERATOR_PORT,
    START_UPDATE_PATH,
    UNSET_WEIGHT_VERSION,
    UPDATE_PATH,
    WEIGHT_INFO_PATH,
    WEIGHTS_HEADER,
    WIDTH_HEADER,
)
from grpo_contract.weights import STAGE_PATH
from perf.pacing import Decoder, Pace

LOWEST_TOKEN: Final = 3
"""Below it are those that end or pad a text, with the tokenizer of the tests."""
READ_BYTES: Final = 1 << 20
WIDTH: Final = 1_000_000
"""How many completions it says that it writes at once: all that come, whatever --slots says of their pace."""
NOWHERE: Final = "/dev/null"
"""Where the staged weights are."""
LARGEST_REQUEST_BYTES: Final = 1 << 30

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class PacedServer:
    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._version = UNSET_WEIGHT_VERSION
        self._staged = ""
        self._decoder = Decoder(pace)

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get(GENERATOR_HEALTH_PATH, self._done),
            web.get(WEIGHT_INFO_PATH, self._weight_info),
            web.post("/pause", self._pause),
            web.post("/resume", self._resume),
            web.post(START_UPDATE_PATH, self._done),
            web.post(STAGE_PATH, self._stage),
            web.post(UPDATE_PATH, self._done),
            web.post(FINISH_UPDATE_PATH, self._finish),
            web.post("/reset_prefix_cache", self._done),
            web.post("/v1/completions", self._complete),
        ]

    async def _done(self, request: web.Request) -> web.Response:
        return web.json_response({})

    async def _weight_info(self, request: web.Request) -> web.Response:
        return web.json_response({"weight_version": self._version}, headers={WIDTH_HEADER: str(WIDTH)})

    async def _pause(self, request: web.Request) -> web.Response:
        self._decoder.pause(True)
        return web.json_response({})

    async def _resume(self, request: web.Request) -> web.Response:
        self._decoder.pause(False)
        return web.json_response({})

    async def _stage(self, request: web.Request) -> web.Response:
        offer = await request.json()
        if not await pull(offer["host"], offer["port"], f"{offer['token']} {self._staged}"):
            return web.json_response({"error": {"message": "the learner sent nothing"}}, status=500)
        self._staged = offer["version"]
        return web.json_response({"path": NOWHERE})

    async def _finish(self, request: web.Request) -> web.Response:
        # What a learner left open is finished without a version, which stays the old one.
        self._version = (await request.json()).get("weight_version", self._version)
        return web.json_response({})

    async def _complete(self, request: web.Request) -> web.Response:
        asked = await request.json()
        num_tokens, num_generations = asked["max_tokens"], asked["n"]
        places = [(prompt, place) for prompt in asked["prompt"] for place in range(num_generations)]
        choices = [
            {"index": index, **completion(prompt, place, num_tokens, self._pace.vocabulary)}
            for index, (prompt, place) in enumerate(places)
        ]
        answer = json.dumps({"choices": choices})  # now, so that this takes no time once they are written
        await asyncio.gather(*(self._decoder.write(num_tokens) for _ in places))
        return web.json_response(text=answer, headers={WEIGHTS_HEADER: self._version})


async def pull(host: str, port: int, line: str) -> int:
    """How many bytes came for that first line until the learner closed the connection."""
    reader, writer = await asyncio.open_connection(host, port, limit=READ_BYTES)
    size = 0
    try:
        writer.write(line.encode() + b"\n")
        while data := await reader.read(READ_BYTES):
            size += len(data)
    finally:
        writer.close()
    return size


def completion(prompt: list[int], place: int, num_tokens: int, vocabulary: int) -> dict[str, Any]:
    """As vLLM answers. It depends on nothing but the arguments."""
    digest = hashlib.shake_128(f"{prompt} {place}".encode()).digest(num_tokens * array("I").itemsize)
    tokens = [LOWEST_TOKEN + number % (vocabulary - LOWEST_TOKEN) for number in array("I", digest)]
    logprobs = {"token_logprobs": [-math.log(vocabulary)] * num_tokens}
    return {"token_ids": tokens, "logprobs": logprobs, "finish_reason": "length"}


def application(pace: Pace, name: str) -> web.Application:
    """To be called within the loop that serves it."""

    @web.middleware
    async def named(request: web.Request, handler: Handler) -> web.StreamResponse:
        answer = await handler(request)
        answer.headers[GENERATOR_HEADER] = name
        return answer

    served = web.Application(middlewares=[named], client_max_size=LARGEST_REQUEST_BYTES)
    served.add_routes(PacedServer(pace).routes())
    return served


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="perf.paced_server", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=GENERATOR_PORT)
    parser.add_argument(
        "--seconds-per-token", type=float, required=True, help="of each completion that is being written"
    )
    parser.add_argument("--slots", type=int, default=256, help="completions that are written at once at that pace")
    parser.add_argument(
        "--vocabulary", type=int, default=259, help="tokens of the learner's model; by default the tests' one"
    )
    arguments = parser.parse_args()
    pace = Pace(arguments.seconds_per_token, arguments.slots, arguments.vocabulary)

    async def served() -> web.Application:
        return application(pace, f"{arguments.host}:{arguments.port}")

    # A learner that hangs up is owed nothing more, as with vLLM.
    web.run_app(
        served(), host=arguments.host, port=arguments.port, handler_cancellation=True, access_log=None, print=None
    )


if __name__ == "__main__":
    main()
