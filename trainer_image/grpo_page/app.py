"""The paths of the page. Each answers a person with HTML; those below /api answer `kubectl grpo`."""

from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import duckdb
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.templating import Jinja2Templates

from grpo_contract.completions import Column
from grpo_contract.network import HEALTH_PATH, NEWEST_GROUPS_PATH
from grpo_page.access import Access
from grpo_page.curves import HEIGHT, WIDTH, curve
from grpo_page.difference import difference
from grpo_page.query import MEANINGS, PAGE_ROWS, number_of, read_query
from grpo_page.store import Row, Store

HERE: Final = Path(__file__).parent
MOST_GROUPS: Final = 1000
"""In one answer to a program."""


def build_app(run: str, uid: str, store: Store, read_token: Callable[[], str]) -> Starlette:
    pages = _Pages(run, store)
    return Starlette(
        routes=[
            Route(HEALTH_PATH, _health),
            Route("/", pages.completions),
            Route("/curves", pages.curves),
            Route("/steps/{step:int}", pages.step),
            Route("/steps/{step:int}/groups/{group:int}", pages.group),
            Route("/steps/{step:int}/groups/{group:int}/difference", pages.difference),
            Route(NEWEST_GROUPS_PATH, pages.newest_groups),
            Mount("/static", StaticFiles(directory=HERE / "static")),
        ],
        exception_handlers={duckdb.Error: _unreadable, OSError: _unreadable},
        middleware=[Middleware(Access, read_token=read_token, cookie=f"grpo-{uid[:8]}")],
    )


def _health(_: Request) -> Response:
    return PlainTextResponse("ok\n")


def _unreadable(_: Request, error: Exception) -> Response:
    return PlainTextResponse(f"The completions cannot be read: {error}\n", HTTPStatus.SERVICE_UNAVAILABLE)


class _Pages:
    """Not async: each waits for the store in a thread of its own."""

    def __init__(self, run: str, store: Store) -> None:
        self._run = run
        self._store = store
        self._templates = Jinja2Templates(HERE / "templates")
        self._templates.env.filters["number"] = _number

    def completions(self, request: Request) -> Response:
        query = read_query(request.query_params)
        count = self._store.count(query)
        return self._page(
            request,
            "completions.html",
            query=query,
            views=MEANINGS,
            rows=self._store.page(query),
            count=count,
            num_pages=max(1, -(-count // PAGE_ROWS)),
        )

    def curves(self, request: Request) -> Response:
        points = self._store.curves()
        steps = [point.pop(Column.STEP) for point in points]
        names = points[0] if points else {}
        drawn = [curve(name, steps, [point[name] for point in points]) for name in names]
        return self._page(request, "curves.html", curves=list(filter(None, drawn)), width=WIDTH, height=HEIGHT)

    def step(self, request: Request) -> Response:
        step = request.path_params["step"]
        groups = _found(self._store.groups(step), f"no completions of step {step} are kept")
        return self._page(request, "step.html", step=step, groups=groups)

    def group(self, request: Request) -> Response:
        rows = self._group(request)
        return self._page(request, "group.html", rows=rows, functions=list(rows[0][Column.REWARDS]))

    def difference(self, request: Request) -> Response:
        by_member = {str(row[Column.MEMBER]): row for row in self._group(request)}
        one, other = (by_member.get(request.query_params.get(name, "")) for name in ("one", "other"))
        if one is None or other is None:
            raise HTTPException(HTTPStatus.NOT_FOUND, "the group has no such completions: choose two of them")
        sides = zip((one, other), difference(one[Column.COMPLETION], other[Column.COMPLETION]), strict=True)
        return self._page(request, "difference.html", sides=list(sides))

    def newest_groups(self, request: Request) -> Response:
        """Whole groups: the newest `last`, or all of `step`."""
        last, step = (number_of(request.query_params.get(name)) for name in ("last", "step"))
        newest = self._store.newest_groups(min(last or 1, MOST_GROUPS)) if step is None else self._store.groups_of(step)
        return JSONResponse([[_as_json(row) for row in group] for group in newest])

    def _group(self, request: Request) -> list[Row]:
        step, group = request.path_params["step"], request.path_params["group"]
        return _found(self._store.group(step, group), f"no completions of group {group} of step {step} are kept")

    def _page(self, request: Request, template: str, **content: Any) -> Response:
        return self._templates.TemplateResponse(
            request, template, {"run": self._run, "damaged": self._store.damaged, **content}
        )


def _found(rows: list[Row], otherwise: str) -> list[Row]:
    if not rows:
        raise HTTPException(HTTPStatus.NOT_FOUND, f"{otherwise}: they were not sampled, or have been rotated away")
    return rows


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"  # noqa: RUF001 (an en dash, for a person)


def _as_json(row: Row) -> Row:
    return row | {Column.AT: f"{row[Column.AT].isoformat()}Z"}
