"""Chromium shows the page of `grafana`, and takes its picture."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Page, Route
from playwright.sync_api import TimeoutError as NotInTimeError

from harness.browser import browser_page
from pictures.errors import PictureError

ORIGIN: Final = "http://pictures"
"""No server: the page and its icons are answered from the bundle's folder, and nothing else is."""
CANVASES: Final = "count => document.querySelectorAll('[data-type=timeseries] canvas').length === count"
CUT: Final = """() => {
  const table = '[role=table]';  // may be scrolled
  const isCut = (element) => !element.closest(table) && !element.querySelector(table) &&
    getComputedStyle(element).overflow !== 'visible' &&
    (element.scrollWidth > element.clientWidth + 1 || element.scrollHeight > element.clientHeight + 1);
  const panels = [...document.querySelectorAll('.panel')];
  return panels.filter((panel) => [...panel.querySelectorAll('*')].some(isCut)).map((panel) => panel.dataset.title);
}"""
"""Titles of panels in which there is more than is to be seen: a long title or legend."""


class DrawingPage:
    """One page for all pictures of dashboards."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._errors: list[str] = []
        page.on("pageerror", lambda error: self._errors.append(str(error)))

    def draw(self, picture: Mapping[str, Any], file: Path) -> None:
        """
        Raises:
            PictureError: the page failed, or something is cut, as the picture then shows.
        """
        self._page.goto(f"{ORIGIN}/index.html")
        self._page.evaluate("picture => window.draw(picture)", picture)
        num_charts = sum(panel["type"] == "timeseries" for panel in picture["panels"])
        try:
            self._page.wait_for_function(CANVASES, arg=num_charts)
        except NotInTimeError:
            errors = "; ".join(self._errors) or "without a word"
            raise PictureError(f"{file.name}: not all of its {num_charts} charts were drawn: {errors}") from None
        self._page.wait_for_load_state("networkidle")
        self._page.locator("#picture").screenshot(path=file)
        if cut := self._page.evaluate(CUT):
            raise PictureError(f"{file.name}: no room for title or legend of {', '.join(cut)}: make it wider.")


@contextmanager
def drawing_page(bundle: Path) -> Iterator[DrawingPage]:
    def answer(route: Route) -> None:
        file = bundle / route.request.url.removeprefix(f"{ORIGIN}/")
        if file.is_file():
            route.fulfill(path=file)
        else:
            route.fulfill(status=404)

    with browser_page() as page:
        page.route(f"{ORIGIN}/**", answer)
        yield DrawingPage(page)
