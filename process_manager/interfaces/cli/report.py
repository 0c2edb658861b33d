"""`pm report`."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import click

from process_manager.interfaces.cli import output
from process_manager.interfaces.cli.errors import say
from process_manager.interfaces.cli.instances import STATUSES
from process_manager.interfaces.cli.options import command, existing_log, format_option, store_option
from process_manager.interfaces.cli.views import opened_views, ready, views_option, wait_option

if TYPE_CHECKING:
    from projections.reports import Report
    from projections.views import Views

NAMES = ("overview", "outcomes", "durations", "decisions", "failures", "waiting", "compensations", "variants", "throughput")
SHOWN = 50
"""Rows of a table, unless --limit says otherwise; data is always whole."""
_A_DAY = len("2026-01-31")


def _zone(ctx: click.Context, param: click.Parameter, value: str) -> ZoneInfo:
    try:
        return ZoneInfo(value)
    except (KeyError, ValueError, OSError) as error:
        raise click.BadParameter(f"{value!r} is no time zone: write Europe/Rome or UTC", ctx, param) from error


def _time(text: str | None, zone: ZoneInfo, *, end: bool = False) -> int | None:
    """A day or a time as microseconds; with `end`, the first moment that no longer belongs to it."""
    if text is None:
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise click.UsageError(f"{text!r} is no time: write 2026-01-31 or 2026-01-31T18:00:00+01:00") from error
    if end:
        time += timedelta(days=1) if len(text) == _A_DAY else timedelta(microseconds=1)
    from projections.times import micros

    return micros(time if time.tzinfo else time.replace(tzinfo=zone))


@command("report", example="pm report overview --store sqlite:///shop.db\npm report waiting --process order_fulfilment --as-of 2026-01-31")
@click.argument("name", type=click.Choice(NAMES), metavar="REPORT")
@click.option("--process", default="", metavar="NAME", help="Only this process.")
@click.option("--version", type=int, metavar="N", help="Only instances of this version of the definition.")
@click.option("--status", type=click.Choice(STATUSES), metavar="STATUS", help="Only instances of this status, as for pm list.")
@click.option("--since", metavar="TIME", help="Only what began at this day or time, or later.")
@click.option("--until", metavar="TIME", help="Only what began until the end of this day, or up to this time.")
@click.option("--as-of", "then", metavar="TIME", help="What the log said at the end of this day, or at this time.")
@click.option("--zone", callback=_zone, default="UTC", show_default=True, metavar="NAME", help="The time zone of days and times given.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help=f"At most N rows. Default: {SHOWN} in a table, else all.")
@wait_option
@views_option
@store_option
@format_option("table", "json", "jsonl", "csv")
def report_command(
    name: str, process: str, version: int | None, status: str | None, since: str | None, until: str | None, then: str | None,
    zone: ZoneInfo, limit: int | None, views_url: str | None, url: str, format_: str, *, wait: bool,
) -> None:  # fmt: skip
    """Report on the instances of processes: overview, outcomes, durations, decisions, failures, waiting, compensations, variants or
    throughput.

    It reads the views that pm projections run keeps, and says on stderr when they are behind. Times are those of the messages. --since
    and --until ask when an instance started; for durations of steps, decisions and failures, when these began. --as-of reads the whole
    log, since no view stands still.
    """
    from projections.reports import REPORTS, Scope

    report = REPORTS[name]
    scope = Scope(process, version, status or "", _time(since, zone), _time(until, zone, end=True))
    before = _time(then, zone, end=True)
    with _views(report, url, views_url, before, wait=wait) as views, views.read() as connection:
        rows = report.query(connection, scope)
    _write(rows, report.row._fields, format_, limit)


@contextmanager
def _views(report: "Report", url: str, views_url: str | None, before: int | None, *, wait: bool) -> "Iterator[Views]":
    needed = [each() for each in report.reads]
    with existing_log(url) as store:
        if before is None:
            with opened_views(url, views_url) as views:
                ready(store, views, needed, wait=wait)
                yield views
        else:
            from process_manager.interfaces.bootstrap import collect_less
            from projections.as_of import as_of

            collect_less()
            with as_of(store, before, needed) as views:
                yield views


def _write(rows: Sequence[Any], columns: Sequence[str], format_: str, limit: int | None) -> None:
    table = format_ == "table"
    shown = rows[: limit or (SHOWN if table else None)]
    output.write_rows(
        ({column: (_readable if table else _plain)(value) for column, value in row._asdict().items()} for row in shown),
        columns,
        format_,
        "",
    )
    if len(shown) < len(rows):
        say(f"{len(shown):,} of {len(rows):,} rows; --limit shows more")


def _plain(value: Any) -> Any:
    """For programs: spans in seconds, sequences as lists."""
    if isinstance(value, timedelta):
        return value.total_seconds()
    return list(value) if isinstance(value, tuple) else value


def _readable(value: Any) -> Any:
    """For people."""
    if isinstance(value, timedelta):
        return _span(value)
    if isinstance(value, float):
        return f"{value:.1%}"
    return " > ".join(value) if isinstance(value, tuple) else value


def _span(span: timedelta) -> str:
    for unit, seconds in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if span.total_seconds() >= seconds:
            return f"{span.total_seconds() / seconds:.1f} {unit}"
    return f"{span.total_seconds():.1f} s"
