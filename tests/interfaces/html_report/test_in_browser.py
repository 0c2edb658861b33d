"""The page as a real browser shows it, opened from a file and without a network."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest

from tests.interfaces.html_report import hostile, large
from tests.interfaces.html_report.conftest import PATIENCE

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CONTRAST = """
() => {
  const channels = color => color.match(/[0-9.]+/g).slice(0, 3).map(Number);
  const light = color => channels(color).map(c => c / 255).map(c => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, at) => sum + c * [0.2126, 0.7152, 0.0722][at], 0);
  const paper = light(getComputedStyle(document.body).backgroundColor);
  const ratio = color => (Math.max(light(color), paper) + 0.05) / (Math.min(light(color), paper) + 0.05);
  return [...document.querySelectorAll("svg text")].map(text => ratio(getComputedStyle(text).fill));
}
"""
CUT = """
() => [...document.querySelectorAll("figure")].flatMap(figure => {
  const frame = figure.getBoundingClientRect();
  return [...figure.querySelectorAll("svg text")].filter(text => {
    const place = text.getBoundingClientRect();
    return place.width > 0 && (place.left < frame.left - 1 || place.right > frame.right + 1);
  }).map(text => text.textContent);
})
"""
WIDER = """
() => [...document.querySelectorAll("section:has(.table)")]
  .filter(section => { const box = section.querySelector(".table"); return box.scrollWidth > box.clientWidth; })
  .map(section => section.querySelector("h3").textContent)
"""


class Window:
    """A page in a browser, with what it logged and what it asked for."""

    def __init__(self, page: "Page", path: Path) -> None:
        self.page = page
        self.messages: list[str] = []
        self.requests: list[str] = []
        page.on("console", lambda message: self.messages.append(message.text))
        page.on("pageerror", lambda error: self.messages.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))
        page.set_default_timeout(PATIENCE)
        page.goto(path.as_uri())


@pytest.fixture
def window(browser: "Browser", overview: str, tmp_path: Path) -> Iterator[Window]:
    """The overview, 1200 pixels wide."""
    path = tmp_path / "report.html"
    path.write_text(overview)
    context = browser.new_context(viewport={"width": 1200, "height": 900}, offline=True)
    yield Window(context.new_page(), path)
    context.close()


def test_it_opens_from_a_file_without_an_error_or_a_request(window: Window) -> None:
    assert window.messages == []
    assert window.requests == [window.page.url]


def test_every_chart_and_the_diagram_are_to_be_seen(window: Window) -> None:
    figures = window.page.locator("figure svg:not(svg svg)").all()
    boxes = [figure.bounding_box() for figure in figures]

    assert len(boxes) > 5
    assert all(box and box["width"] > 200 and box["height"] > 40 for box in boxes)
    assert window.page.locator("svg.diagram text.count").first.text_content() == "60"


def test_no_text_of_a_chart_is_cut_off(window: Window) -> None:
    assert window.page.evaluate(CUT) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_charts_can_be_read_in_light_and_dark(window: Window, scheme: Literal["light", "dark"]) -> None:
    """The page follows the reader's setting, and every text of a chart has the contrast that WCAG AA asks for."""
    window.page.emulate_media(color_scheme=scheme)
    ratios = window.page.evaluate(CONTRAST)
    paper = window.page.evaluate("getComputedStyle(document.body).backgroundColor")

    assert (paper == "rgb(255, 255, 255)") == (scheme == "light")
    assert len(ratios) > 50
    assert min(ratios) >= 4.5


def test_a_narrow_window_scrolls_inside_tables_and_charts_only(window: Window) -> None:
    window.page.set_viewport_size({"width": 390, "height": 800})

    assert window.page.evaluate("document.documentElement.scrollWidth") <= 390


def test_it_prints_black_on_white_and_whole(window: Window) -> None:
    """On A4 no table is wider than the paper."""
    window.page.emulate_media(media="print", color_scheme="dark")
    window.page.set_viewport_size({"width": 680, "height": 960})

    assert window.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert not window.page.locator("nav").is_visible()
    assert window.page.evaluate(WIDER) == []
    assert window.page.pdf().startswith(b"%PDF")


def test_texts_that_mean_harm_do_nothing(browser: "Browser", tmp_path: Path) -> None:
    """Nothing of them runs, loads or breaks out of its place; they are read as they are."""
    path = tmp_path / "hostile.html"
    path.write_text(hostile.page())
    context = browser.new_context(offline=True)
    window = Window(context.new_page(), path)

    assert window.page.title() == "Processes at position 7"
    assert window.messages == []
    assert window.requests == [window.page.url]
    assert window.page.locator("script, img, iframe").count() == 0
    assert window.page.locator("h2").inner_text() == hostile.BAD
    context.close()


def test_a_long_name_leaves_room_for_the_other_columns_and_a_large_diagram_can_be_read(browser: "Browser", tmp_path: Path) -> None:
    """A name is broken where it must be; a diagram that is much wider than the page is scrolled, not made ever smaller."""
    path = tmp_path / "large.html"
    path.write_text(large.page())
    context = browser.new_context(viewport={"width": 1200, "height": 900}, offline=True)
    window = Window(context.new_page(), path)

    assert window.page.evaluate(WIDER) == []
    letters = [text.bounding_box() for text in window.page.locator("svg.diagram text.count").all()[:5]]
    assert all(box and box["height"] > 8 for box in letters)
    assert window.page.evaluate("document.documentElement.scrollWidth") <= 1200
    context.close()
