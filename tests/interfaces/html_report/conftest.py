"""A page of a demo, and a browser to look at it."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.interfaces.conftest import call

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserType

Report = Callable[..., str]

PATIENCE = 100_000.0
"""Milliseconds that the browser gets for anything."""

_BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="session")
def report(recorded: Path, tmp_path_factory: pytest.TempPathFactory) -> Report:
    """Calls `pm report` on the recorded demo; what it writes."""
    path = shutil.copy(recorded, tmp_path_factory.mktemp("report") / "demo.db")

    def pm(*words: str) -> str:
        answer = call(*words, "--store", f"sqlite:///{path}", PM_VIEWS=None, PM_PROJECTIONS=None)
        assert answer.code == 0, answer.err
        return answer.out

    pm("projections", "run", "--until-idle")
    return lambda *words: pm("report", *words)


@pytest.fixture(scope="session")
def overview(report: Report) -> str:
    """The page with all reports."""
    return report("overview", "-o", "html")


@pytest.fixture(scope="session")
def browser() -> "Iterator[Browser]":
    """A real browser that is on this machine; where there is none, the test is skipped."""
    found = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if found is None:
        pytest.skip(f"there is no browser here: none of {', '.join(_BROWSERS)}")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = _launch(playwright.chromium, found)
        yield opened
        opened.close()


def _launch(kind: "BrowserType", path: str) -> "Browser":
    is_root = hasattr(os, "geteuid") and os.geteuid() == 0
    return kind.launch(executable_path=path, args=["--no-sandbox"] if is_root else [], timeout=PATIENCE)  # as root a browser has no sandbox
