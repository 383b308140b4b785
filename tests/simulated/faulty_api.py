"""The API server on a bad day: what an operator asks goes through here, and a test says what becomes of it on the way."""

import asyncio
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from ssl import SSLContext, create_default_context
from time import monotonic

import yaml
from aiohttp import ClientError, ClientResponse, ClientSession, ClientTimeout, web

from harness.daemons import free_port

START_TIMEOUT_S = 10
LARGEST_BODY = 16 * 1024 * 1024
CHUNK = 64 * 1024
GONE = {"kind": "Status", "apiVersion": "v1", "code": 410, "reason": "Expired", "message": "too old resource version"}
REASONS = {409: "Conflict", 429: "TooManyRequests", 500: "InternalError", 503: "ServiceUnavailable"}
_IN_NAMESPACE = re.compile(r"^/apis?/.*?/namespaces/[^/]+/")
_NOT_PASSED_ON = frozenset({"host", "content-length", "transfer-encoding", "connection"})


@dataclass(frozen=True)
class Asked:
    method: str
    path: str
    name: str
    """Of the object, where one is named."""
    is_watch: bool

    @property
    def what(self) -> str:
        """Method and kind: POST jobs."""
        return f"{self.method} {_IN_NAMESPACE.sub('', self.path).split('/')[0]}"

    @property
    def is_write(self) -> bool:
        """Of what a run is made of, or of what is said of it: renewals of the lease are none."""
        return self.method != "GET" and "/leases" not in self.path

    def __str__(self) -> str:
        return f"{self.method} {self.path} {self.name}{' (watch)' if self.is_watch else ''}"


@dataclass(frozen=True)
class Fault:
    """What comes instead of the answer."""

    status: int | None = None
    """None: the connection ends."""
    retry_after_s: int | None = None
    is_done: bool = False
    """The API server does what was asked all the same."""


@dataclass(frozen=True)
class BadWatch:
    late_s: float = 0.0
    """Its news are as late."""
    ends_after_s: float | None = None
    """Its connection ends."""
    is_gone: bool = False
    """Its resource version is told to be too old."""


Trouble = Fault | BadWatch | None


@dataclass(frozen=True)
class Written:
    asked: Asked
    status: int
    at: float


def none(asked: Asked) -> Trouble:
    return None


class FaultyApi:
    """`pick` is asked of each request, and `done` of each write when the API server has done it and nobody knows yet; both may be
    replaced at any time. `written` are all writes that the API server has answered, `hindered` all requests that did not end well."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.pick: Callable[[Asked], Trouble] = none
        self.done: Callable[[Asked], Trouble] = none
        self.written: list[Written] = []
        self.hindered: list[Asked] = []

    def made(self, kind: str) -> list[str]:
        """Names of the objects that were created: one that was made twice is there twice. `kind`: as in paths."""
        return [
            entry.asked.name
            for entry in self.written
            if entry.status == 201 and entry.asked.method == "POST" and f"/{kind}" in entry.asked.path
        ]


@contextmanager
def faulty_api(kubeconfig: Path, folder: Path, name: str = "faulty") -> Iterator[tuple[FaultyApi, Path]]:
    """With the kubeconfig that leads through it, of the same user."""
    config = yaml.safe_load(kubeconfig.read_text())
    cluster = config["clusters"][0]["cluster"]
    context = create_default_context(cafile=cluster["certificate-authority"])
    port = free_port()
    api = FaultyApi(port)
    config["clusters"][0]["cluster"] = {"server": api.url}
    file = folder / f"{name}.kubeconfig"
    file.write_text(yaml.safe_dump(config))
    serving = _Serving(_Proxy(api, cluster["server"], context), port)
    serving.start()
    try:
        yield api, file
    finally:
        serving.stop()


class _Serving(threading.Thread):
    def __init__(self, proxy: "_Proxy", port: int) -> None:
        super().__init__(name="faulty API server")
        self._proxy, self._port = proxy, port
        self._is_up, self._is_over = threading.Event(), asyncio.Event()

    def start(self) -> None:
        super().start()
        assert self._is_up.wait(START_TIMEOUT_S)

    def run(self) -> None:
        asyncio.run(self._serve())

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._is_over.set)
        self.join()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        async with ClientSession(timeout=ClientTimeout(total=None)) as self._proxy.session:
            application = web.Application(client_max_size=LARGEST_BODY)
            application.router.add_route("*", "/{path:.*}", self._proxy.answer)
            runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", self._port).start()
            self._is_up.set()
            await self._is_over.wait()
            await runner.cleanup()


class _Proxy:
    session: ClientSession

    def __init__(self, api: FaultyApi, server: str, context: SSLContext) -> None:
        self._api, self._server, self._context = api, server, context

    async def answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        asked = _asked(request, body)
        trouble = self._api.pick(asked)
        if trouble is not None:
            self._api.hindered.append(asked)
        if isinstance(trouble, Fault) and not trouble.is_done:
            return _fail(request, trouble)
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _NOT_PASSED_ON}
        try:
            async with self.session.request(
                request.method, self._server + request.raw_path, headers=headers, data=body or None, ssl=self._context
            ) as answer:
                if asked.is_watch:
                    return await self._pass_on(request, answer, trouble)
                content = await answer.read()
        except ClientError:
            return _fail(request, Fault())
        if asked.is_write:
            self._api.written.append(Written(asked, answer.status, monotonic()))
            trouble = self._api.done(asked) or trouble
        if isinstance(trouble, Fault):
            return _fail(request, trouble)
        return web.Response(status=answer.status, body=content, content_type=answer.content_type)

    async def _pass_on(self, request: web.Request, answer: ClientResponse, trouble: Trouble) -> web.StreamResponse:
        watch = trouble if isinstance(trouble, BadWatch) else BadWatch()
        response = web.StreamResponse(status=answer.status, headers={"Content-Type": answer.content_type})
        await response.prepare(request)
        if watch.is_gone:
            await response.write(json.dumps({"type": "ERROR", "object": GONE}).encode() + b"\n")
            return response
        with suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(watch.ends_after_s), asyncio.TaskGroup() as both:
                news: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
                both.create_task(_tell_late(response, news))
                async for chunk in answer.content.iter_any():
                    news.put_nowait((monotonic() + watch.late_s, chunk))
                news.put_nowait((0, b""))
        return response


async def _tell_late(response: web.StreamResponse, news: asyncio.Queue[tuple[float, bytes]]) -> None:
    while True:
        due, chunk = await news.get()
        await asyncio.sleep(due - monotonic())
        if not chunk:
            return
        await response.write(chunk)


def _asked(request: web.Request, body: bytes) -> Asked:
    name = ""
    if request.method == "POST":
        name = json.loads(body)["metadata"]["name"]
    elif request.method != "GET":
        name = request.path.removesuffix("/status").rsplit("/", 1)[1]
    return Asked(request.method, request.path, name, request.query.get("watch") == "true")


def _fail(request: web.Request, fault: Fault) -> web.StreamResponse:
    if fault.status is None:
        if request.transport is not None:  # else whoever asked is gone
            request.transport.abort()
        return web.Response()
    told = {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "code": fault.status,
        "reason": REASONS[fault.status],
        "message": "a test says so",
    }
    headers = {} if fault.retry_after_s is None else {"Retry-After": str(fault.retry_after_s)}
    return web.json_response(told, status=fault.status, headers=headers)
