"""A worker's log: lines for people on a terminal, for programs elsewhere."""

import io
import json
import logging
import re
import sys
from collections.abc import Iterator

import pytest

from process_manager.interfaces.cli.logs import set_up_logging


class Stderr(io.StringIO):
    def __init__(self, *, terminal: bool) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def written(monkeypatch: pytest.MonkeyPatch, *, terminal: bool) -> str:
    """What stands there after a failure was logged."""
    monkeypatch.setattr(sys, "stderr", stderr := Stderr(terminal=terminal))
    set_up_logging()
    extra = {"action": "handler_failed", "handler": "take", "command_id": "17"}
    logging.getLogger("shop").warning("%s failed: %s", "take", "no", extra=extra, exc_info=ValueError("no"))
    return stderr.getvalue()


def test_a_terminal_gets_a_line_with_what_the_message_does_not_say_and_the_trace_below_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """It overwrites a line of progress."""
    lines = written(monkeypatch, terminal=True).splitlines()
    assert re.fullmatch(r"\x1b\[K\d\d:\d\d:\d\d WARNING take failed: no  command_id=17", lines[1])
    assert lines[0] == ""
    assert lines[2:] == ["ValueError: no"]


def test_programs_get_one_object_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    (line,) = written(monkeypatch, terminal=False).splitlines()
    told = json.loads(line)
    assert (told["level"], told["message"], told["command_id"], told["error"]) == ("warning", "take failed: no", "17", "ValueError: no")
