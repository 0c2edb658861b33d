"""What the page says of each report: a title, a sentence, a chart with its text alternative, and a table."""

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from markupsafe import Markup

from process_manager.core import readable
from process_manager.interfaces.html_report import charts
from process_manager.interfaces.html_report.colors import color
from process_manager.interfaces.html_report.diagram import Diagram, diagram

Rows = Sequence[Any]


class Cell(NamedTuple):
    """A value in a table: its text, or a sequence; numbers stand to the right, a share has a bar."""

    text: str
    kind: str = "text"  # text, number, share, time, sequence
    share: float = 0.0
    parts: Sequence[str] = ()


class Section(NamedTuple):
    """A part of the page about one process. `rows` are those shown of `total`."""

    name: str
    title: str
    about: str
    chart: Markup | None
    diagram: Diagram | None
    alternative: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    total: int


class Kind(NamedTuple):
    """How the rows of a report become a section."""

    title: str
    about: str
    chart: Callable[[Rows], Markup] | None = None
    alternative: str = ""  # of the chart, where it cannot be seen


def _outcomes(rows: Rows) -> Markup:
    return charts.bars(((row.outcome or row.status, row.instances, color(row.status)) for row in rows), "instances")


def _decisions(rows: Rows) -> Markup:
    return charts.bars(((f"{row.question}: {row.answer}", row.times, "bar") for row in rows), "times")


def _failures(rows: Rows) -> Markup:
    named = ((f"{row.kind} {row.step}" if row.step else row.kind, row) for row in rows)
    return charts.bars(((f"{name}: {row.reason}", row.times, "aborted") for name, row in named), "times")


def _waiting(rows: Rows) -> Markup:
    counts = Counter(f"{row.what}: {row.waits_for}" if row.what not in {"operator", "event"} else row.what for row in rows)
    return charts.bars(((what, count, "bar") for what, count in counts.most_common()), "instances")


def _compensations(rows: Rows) -> Markup:
    return charts.bars(((row.reason, row.instances, "compensated") for row in rows), "instances")


def _events(rows: Rows) -> Markup:
    return charts.bars(((f"{row.name}", row.number, color(row.name)) for row in rows if row.what == "event"), "events")


KINDS = {
    "outcomes": Kind("Outcomes", "How instances ended, or how they stand.", _outcomes, "Bars: instances by outcome, as in the table."),
    "timeline": Kind(
        "Over time",
        "Instances that started and ended in each period, and those open at its end.",
        charts.lines,
        "Lines: instances started and ended, and below them those open, as in the table.",
    ),
    "flow": Kind("Flow", "Which domain event came next, and how often; after the last one stands the status of the instance."),
    "waiting": Kind(
        "Waiting", "What has not ended, and all that it waits for; what waits longest first.", _waiting, "Bars: how many wait for what."
    ),
    "failures": Kind("Failures", "What went wrong, by reason.", _failures, "Bars: failures by reason, as in the table."),
    "compensations": Kind("Compensations", "Why work was undone.", _compensations, "Bars: instances by reason, as in the table."),
    "durations": Kind(
        "Durations",
        "From the first command of a step to its answer; where no step is named, of the whole process from start to end.",
        charts.spans,
        "Points: median, 90th and 99th percentile of each step, as in the table.",
    ),
    "decisions": Kind(
        "Decisions", "Questions, answers, and one of the reasons.", _decisions, "Bars: answers by question, as in the table."
    ),
    "variants": Kind("Variants", "The sequences of domain events that instances went through."),
    "throughput": Kind("Throughput", "From the first to the last domain event, running instances included."),
    "overview": Kind("Counts", "Everything there is, counted.", _events, "Bars: domain events by type, as in the table."),
}
"""By name of the report, in the order of the page."""


def section(name: str, rows: Rows, limit: int) -> Section:
    """A section of the rows of one process; at least one row."""
    kind = KINDS[name]
    drawn = diagram(rows) if name == "flow" else None
    alternative = kind.alternative
    if drawn:
        rare = f" In the table only, because they are rarer: {len(drawn.left_out)}." if drawn.left_out else ""
        alternative = f"Arrows: {len(drawn.arrows)}, each with how often it was taken.{rare}"
    columns = [column for column in rows[0]._fields if column != "process"]
    shown = [[_cell(getattr(row, column)) for column in columns] for row in rows[:limit]]
    titles = [column.replace("_", " ") for column in columns]
    chart = kind.chart(rows) if kind.chart else None
    return Section(name, kind.title, kind.about, chart, drawn, alternative, titles, shown, len(rows))


def _cell(value: Any) -> Cell:
    match value:
        case None:
            return Cell("")
        case float():
            return Cell(readable.share(value), "share", value)
        case int():
            return Cell(f"{value:,}", "number")
        case timedelta():
            return Cell(readable.span(value), "number")
        case datetime():
            return Cell(f"{value:%Y-%m-%d %H:%M:%S}", "time")
        case tuple():
            return Cell("", "sequence", parts=_folded(value))
        case _:
            return Cell(str(value))


def _folded(types: Sequence[str]) -> list[str]:
    """A type that comes several times in a row stands once, with how often."""
    found: list[tuple[str, int]] = []
    for each in types:
        if found and found[-1][0] == each:
            found[-1] = (each, found[-1][1] + 1)
        else:
            found.append((each, 1))
    return [f"{each} \N{MULTIPLICATION SIGN} {times}" if times > 1 else each for each, times in found]
