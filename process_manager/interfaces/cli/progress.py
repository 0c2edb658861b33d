"""A progress line on stderr: rewritten in place on a terminal, now and then a new one otherwise."""

import sys
import time

import click

QUIET = 5.0
"""Seconds between two lines where stderr is no terminal."""


CLEAR = "\r\x1b[K"
"""Makes a terminal's line empty, whatever stood there."""


class Progress:
    """Shows where a long task is; `alone` says that nobody else writes to the terminal meanwhile."""

    def __init__(self, *, alone: bool = True) -> None:
        self._terminal = alone and sys.stderr.isatty()
        self._shown = time.monotonic()
        self._text = ""
        self._dirty = False

    def show(self, text: str) -> None:
        """Show where the task is now, at most ten times a second and only if the text has changed."""
        now = time.monotonic()
        if text == self._text or now - self._shown < (0.1 if self._terminal else QUIET):
            return
        self._shown, self._text = now, text
        if self._terminal:
            click.echo(f"{CLEAR}{text}", err=True, nl=False)
            self._dirty = True
        else:
            click.echo(text, err=True)

    def clear(self) -> None:
        """Make room for other lines."""
        if self._dirty:
            click.echo(CLEAR, err=True, nl=False)
            self._dirty = False
