"""The page: what it is about, then each process with its figures and sections."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined

from process_manager.core import readable
from process_manager.interfaces.html_report.colors import color
from process_manager.interfaces.html_report.sections import KINDS, Rows, Section, section

ROWS = 20
"""Rows of a table, unless more are asked for."""


class About(NamedTuple):
    """When the page was made, up to which position of the log it tells, and what was asked for, as names and values."""

    made: datetime
    position: int
    behind: str  # how many records the log has beyond it for these reports, in words
    filters: Sequence[tuple[str, str]]


class Figure(NamedTuple):
    """A number to see first; `color` is the name of a variable of the style."""

    label: str
    text: str
    color: str = "bar"


class Process(NamedTuple):
    """A process with its sections; `empty` are the titles of those with nothing to show."""

    name: str
    figures: Sequence[Figure]
    sections: Sequence[Section]
    empty: Sequence[str]


def render(found: Mapping[str, Rows], about: About, limit: int | None = None) -> str:
    """One page of HTML of reports, by name, that is whole by itself: it runs no script and asks no network."""
    names = sorted({row.process for rows in found.values() for row in rows})
    processes = [_process(name, found, limit or ROWS) for name in names]
    environment = Environment(
        loader=PackageLoader(__name__.rpartition(".")[0], "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    return environment.get_template("page.html").render(about=about, processes=processes)


def _process(name: str, found: Mapping[str, Rows], limit: int) -> Process:
    rows = {report: [row for row in found[report] if row.process == name] for report in KINDS if report in found}
    sections = [section(report, of, limit) for report, of in rows.items() if of]
    return Process(name, _figures(rows), sections, [KINDS[report].title.lower() for report, of in rows.items() if not of])


def _figures(rows: Mapping[str, Sequence[Any]]) -> list[Figure]:
    """All instances, each status, and the time that one takes."""
    statuses = [row for row in rows.get("overview", ()) if row.what == "status"]
    if not statuses:
        return []
    whole = sum(row.number for row in statuses)
    figures = [Figure("instances", f"{whole:,}")]
    figures += [
        Figure(row.name.replace("_", " "), f"{row.number:,} ({readable.share(row.number / whole)})", color(row.name)) for row in statuses
    ]
    for row in rows.get("throughput", ()):
        figures += [Figure("median from first to last event", readable.span(row.median)), Figure("90th percentile", readable.span(row.p90))]
    return figures
