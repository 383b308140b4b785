"""The page with every completion of a run, as a person looks at it."""

from pathlib import Path
from typing import Final

from playwright.sync_api import FloatRect, Page, ViewportSize

WIDTH: Final = 1200
SIZE: Final = ViewportSize(width=WIDTH, height=900)
LISTED: Final = 6
"""Rows in the picture of the list."""
VIEW: Final = "disagreement"
"""There is more to see in these than in the newest ones of the demo, which are right and alike."""


def draw_completions(page: Page, address: str, folder: Path) -> None:
    page.set_viewport_size(SIZE)
    page.goto(address)
    page.get_by_label("Show").select_option(VIEW)
    page.get_by_role("button", name="Show").click()
    page.locator(f"option[value={VIEW}][selected]").wait_for(state="attached")
    _draw_list(page, folder / "completions-list.png")
    _draw_difference(page, folder / "completions-difference.png")
    page.get_by_role("link", name="Curves").click()
    page.locator("figure").first.wait_for()
    page.locator("body").screenshot(path=folder / "completions-curves.png")


def _draw_list(page: Page, file: Path) -> None:
    """As far as to the end of a row."""
    last = page.locator("tbody tr").nth(LISTED - 1).bounding_box()
    assert last is not None, "a page has more rows"
    clip = FloatRect(x=0, y=0, width=WIDTH, height=last["y"] + last["height"])
    page.screenshot(path=file, full_page=True, clip=clip)


def _draw_difference(page: Page, file: Path) -> None:
    """Of the worst completion that is listed and the best one of its group."""
    listed = [float(text) for text in page.locator("tbody tr td:nth-child(3)").all_text_contents()[:LISTED]]
    page.locator("tbody tr").nth(listed.index(min(listed))).get_by_role("link").nth(1).click()
    rewards = [float(text) for text in page.locator("article .facts span:first-of-type strong").all_text_contents()]
    for name, chosen in (("one", min(rewards)), ("other", max(rewards))):
        page.locator(f"input[name={name}]").nth(rewards.index(chosen)).check()
    page.get_by_role("button", name="Compare the chosen two").click()
    page.locator("section").first.wait_for()
    page.locator("body").screenshot(path=file)
