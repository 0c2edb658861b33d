"""Rows as a table for people, or as JSON, JSON Lines, CSV or ids for programs: on stdout, and nothing else there."""

import os
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import click

FORMATS = ("table", "json", "jsonl", "csv", "ids")

WIDE = 60
"""Characters of the widest column of a table: a longer value moves the rest of its own row only."""

Row = dict[str, Any]

RED, GREEN, YELLOW = "red", "green", "yellow"

_COLORS = {
    "completed": GREEN, "compensated": YELLOW, "compensating": YELLOW, "aborted": RED, "cancelled": RED,
    "compensation_failed": RED, "suspended": RED,
}  # fmt: skip


def write_rows(rows: Iterable[Row], columns: Sequence[str], format_: str, id_column: str, hidden: Sequence[str] = ()) -> None:
    """Write rows; a table leaves out the `hidden` columns."""
    match format_:
        case "json":
            _write_json_list(rows)
        case "jsonl":
            for row in rows:
                _write(_json(row) + b"\n")
        case "csv":
            _write_csv(rows, columns)
        case "ids":
            for row in rows:
                click.echo(row[id_column])
        case _:
            _write_table(list(rows), [column for column in columns if column not in hidden])


def write_json(value: Any) -> None:
    """One JSON document."""
    _write(_json(value, pretty=True) + b"\n")


def _write(data: bytes) -> None:
    click.echo(data, nl=False)


def _json(value: Any, *, pretty: bool = False) -> bytes:
    import orjson

    return orjson.dumps(value, option=orjson.OPT_UTC_Z | (orjson.OPT_INDENT_2 if pretty else 0))


def _write_json_list(rows: Iterable[Row]) -> None:
    """One row a line, written as they come."""
    empty = True
    for row in rows:
        _write((b"[\n" if empty else b",\n") + _json(row))
        empty = False
    _write(b"[]\n" if empty else b"\n]\n")


def _write_csv(rows: Iterable[Row], columns: Sequence[str]) -> None:
    import csv
    import io

    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_plain(row.get(column)) for column in columns])
        click.echo(buffer.getvalue(), nl=False)
        buffer.seek(0)
        buffer.truncate()
    click.echo(buffer.getvalue(), nl=False)


def _plain(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, dict | list):
        return _json(value).decode()
    return str(value)


def _readable(value: Any) -> str:
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
    return printable(_plain(value))


def printable(text: str) -> str:
    """One line without what could steer a terminal; a line break is a space."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in " ".join(text.splitlines()))


def _write_table(rows: list[Row], columns: Sequence[str]) -> None:
    if not rows:
        click.echo("nothing to show", err=True)
        return
    cells = [[_readable(row.get(column)) for column in columns] for row in rows]
    widths = [max(len(column), *(min(len(line[at]), WIDE) for line in cells)) for at, column in enumerate(columns)]
    click.echo("  ".join(column.upper().replace("_", " ").ljust(width) for column, width in zip(columns, widths, strict=True)).rstrip())
    for line in cells:
        padded = [colored(cell, cell.ljust(width)) for cell, width in zip(line, widths, strict=True)]
        click.echo("  ".join(padded).rstrip())


def use_color() -> bool:
    """Whether stdout is a terminal that wants colour."""
    return not os.environ.get("NO_COLOR") and sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


def colored(word: str, text: str | None = None) -> str:
    """A status, coloured where that is wanted; `text` is what is shown for it."""
    shown = word if text is None else text
    return click.style(shown, fg=_COLORS[word]) if word in _COLORS and use_color() else shown
