"""A page of a demo, and a browser to look at it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserType

Report = Callable[..., str]

_BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="session")
def report(recorded: Path, tmp_path_factory: pytest.TempPathFactory) -> Report:
    """Calls `pm report` in a process of its own, on the recorded demo; what it writes."""
    place = tmp_path_factory.mktemp("report")
    shutil.copy(recorded, place / "demo.db")

    def pm(*words: str) -> str:
        command = [sys.executable, "-m", "process_manager.interfaces.cli.main", *words, "--store", "sqlite:///demo.db"]
        env = {name: value for name, value in os.environ.items() if not name.startswith("PM_")}
        return subprocess.run(command, cwd=place, env=env, capture_output=True, text=True, timeout=100, check=True).stdout

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
    return kind.launch(executable_path=path, args=["--no-sandbox"] if is_root else [])  # as root a browser has no sandbox
