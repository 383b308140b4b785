"""Nothing but whether it is there is told without the run's token: in a header, or once in the address, which a browser then
keeps in a cookie."""

import hmac
from collections.abc import Callable
from typing import Final

from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp

from grpo_contract.network import HEALTH_PATH

PARAMETER: Final = "token"
REFUSAL: Final = (
    "This page needs a token that is made of the run's: `kubectl grpo open NAME` opens it with that, a program sends it as "
    "`Authorization: Bearer TOKEN`.\n"
)
HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
"""Completions are written by a model that learns what is rewarded: nothing in them may run, or reach anybody."""


class Access(BaseHTTPMiddleware):  # type: ignore[misc]
    def __init__(self, app: ASGIApp, read_token: Callable[[], str], cookie: str) -> None:
        """`cookie`: its name. Browsers tell hosts apart and not ports, and several runs are looked at by way of localhost."""
        super().__init__(app)
        self._read_token = read_token
        self._cookie = cookie

    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        if request.url.path == HEALTH_PATH:
            return await call_next(request)
        token = self._read_token()  # it may be rotated
        if (shown := request.query_params.get(PARAMETER)) is not None and _same(shown, token):
            response: Response = RedirectResponse(request.url.remove_query_params(PARAMETER), 303)
            response.set_cookie(self._cookie, token, httponly=True, samesite="strict")
        elif any(_same(shown, token) for shown in self._shown(request)):
            response = await call_next(request)
        else:
            response = PlainTextResponse(REFUSAL, 401, {"WWW-Authenticate": "Bearer"})
        response.headers.update(HEADERS)
        return response

    def _shown(self, request: Request) -> list[str]:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        return [*([token] if scheme.lower() == "bearer" else []), request.cookies.get(self._cookie, "")]


def _same(shown: str, token: str) -> bool:
    return bool(token) and hmac.compare_digest(shown.encode(), token.encode())
