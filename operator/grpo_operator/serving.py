"""The operator's own HTTP server: metrics, and whether it is alive."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import web

from grpo_contract.network import HEALTH_PATH, METRICS_PATH
from grpo_operator.metrics import CONTENT_TYPE

PORT: Final = 8080


@asynccontextmanager
async def serve(
    metrics: Callable[[], bytes], ailment: Callable[[], str | None], port: int = PORT
) -> AsyncIterator[None]:
    """`ailment` says in a sentence why the process should be started anew, or None."""

    async def get_metrics(_: web.Request) -> web.Response:
        return web.Response(body=metrics(), headers={"Content-Type": CONTENT_TYPE})

    async def get_health(_: web.Request) -> web.Response:
        sentence = ailment()
        return web.Response(text=sentence or "ok", status=503 if sentence else 200)

    application = web.Application()
    application.router.add_get(METRICS_PATH, get_metrics)
    application.router.add_get(HEALTH_PATH, get_health)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, port=port).start()
    try:
        yield
    finally:
        await runner.cleanup()
