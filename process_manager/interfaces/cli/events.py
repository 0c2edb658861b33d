"""Reads files of events, and reports bad lines by their numbers."""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING

from process_manager.interfaces.cli.errors import CliError, say
from process_manager.interfaces.cli.progress import Progress
from process_manager.interfaces.cli.words import counted

if TYPE_CHECKING:
    from process_manager.core.messages import Message
    from process_manager.interfaces.publishing.event_lines import Addressed
    from process_manager.interfaces.publishing.publisher import Publisher


HOPELESS = 20
"""Bad lines at the beginning, without a good one, after which a file is taken for something else."""


def opened(file: str) -> IO[bytes]:
    """A file, or standard input for `-`."""
    if file == "-":
        return sys.stdin.buffer
    try:
        return Path(file).open("rb")
    except OSError as error:
        raise CliError(f"{file}: {error.strerror}") from error


class Events:
    """The events of a source with the numbers of their lines; `line` is where it is, and `bad` counts the lines that are none.

    A line whose type is one of these `messages` has to be an event as its class takes it.
    """

    def __init__(self, source: IO[bytes], progress: Progress, messages: "Mapping[str, type[Message]]") -> None:
        self.line = self.bad = 0
        self._good = False
        self._source = source
        self._progress = progress
        self._messages = messages

    def read(self, *, report: bool = True) -> Iterator[tuple[int, "Addressed"]]:
        """The good lines as events, each with its number. Bad ones are left out, and with `report` told and counted."""
        from process_manager.errors import BadEvent
        from process_manager.interfaces.publishing.event_lines import checked_against, read_line

        for number, line in _lines(self._source):
            self.line = number
            try:
                event = checked_against(read_line(line), self._messages)
            except BadEvent as error:
                if report:
                    self._progress.clear()
                    say(f"line {number}: {error}")
                    self.bad += 1
                    if self.bad == HOPELESS and not self._good:
                        raise CliError(f"{HOPELESS} bad lines and no good one: this is no file of events, one JSON object a line") from None
            else:
                self._good = True
                yield number, event

    def count(self, publisher: "Publisher | None") -> str:
        """A sentence of what became of the lines; `publisher` is None where none was good."""
        published, known = (publisher.published, publisher.known) if publisher else (0, 0)
        there = f", {known:,} {'was' if known == 1 else 'were'} there already" if known else ""
        return f"{counted(published, 'event')} published{there}" + (f", {counted(self.bad, 'bad line')} left out" if self.bad else "")


def _lines(source: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    """Lines with their numbers, without blank ones. Of a line that is too long only the beginning is held in memory."""
    from process_manager.interfaces.publishing.event_lines import LONGEST

    number = 0
    while line := source.readline(LONGEST + 2):
        number += 1
        rest = line
        while len(rest) > LONGEST and not rest.endswith(b"\n"):
            rest = source.readline(LONGEST + 2) or b"\n"
        if number == 1:
            line = line.removeprefix(b"\xef\xbb\xbf")
        if line.strip():
            yield number, line.rstrip(b"\r\n")
