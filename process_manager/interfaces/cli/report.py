"""`pm report`."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import click

from process_manager.core import readable
from process_manager.interfaces.cli import output
from process_manager.interfaces.cli.errors import CliError, say
from process_manager.interfaces.cli.instances import STATUSES
from process_manager.interfaces.cli.options import Number, command, existing_log, format_option, known_process, store_option
from process_manager.interfaces.cli.times import moment
from process_manager.interfaces.cli.views import opened_views, ready, views_option, wait_option

if TYPE_CHECKING:
    from types import ModuleType

    from projections.projection import Projection
    from projections.views import Views

NAMES = (
    "overview", "outcomes", "durations", "decisions", "failures", "waiting", "compensations", "variants", "throughput", "timeline", "flow",
)  # fmt: skip
SHOWN = 50
"""Rows of a table, unless --limit says otherwise; data is always whole."""


def _zone(ctx: click.Context, param: click.Parameter, value: str) -> ZoneInfo:
    try:
        return ZoneInfo(value)
    except (KeyError, ValueError, OSError) as error:
        raise click.BadParameter(f"{value!r} is no time zone: write Europe/Rome or UTC", ctx, param) from error


def _time(text: str | None, zone: ZoneInfo, *, end: bool = False) -> int | None:
    """A day or a time as microseconds; with `end`, the first moment that no longer belongs to it."""
    if text is None:
        return None
    from projections.times import micros

    return micros(moment(text, zone, end=end))


@command("report", example="pm report overview --store sqlite:///shop.db\npm report waiting --process order_fulfilment --as-of 2026-01-31")
@click.argument("name", type=click.Choice(NAMES), metavar="REPORT")
@click.option("--process", default="", metavar="NAME", help="Only this process.")
@click.option("--version", type=Number(0), metavar="N", help="Only instances of this version of the definition.")
@click.option("--status", type=click.Choice(STATUSES), metavar="STATUS", help="Only instances of this status, as for pm list.")
@click.option("--since", metavar="TIME", help="Only what began at this day or time, or later.")
@click.option("--until", metavar="TIME", help="Only what began until the end of this day, or up to this time.")
@click.option("--as-of", "then", metavar="TIME", help="What the log said at the end of this day, or at this time.")
@click.option(
    "--zone",
    callback=_zone,
    default="UTC",
    show_default=True,
    metavar="NAME",
    help="The time zone of days and times given, and of a table's; data is in UTC.",
)
@click.option("--limit", type=Number(1), metavar="N", help=f"At most N rows. Default: {SHOWN} in a table, else all.")
@wait_option
@views_option
@store_option
@format_option("table", "json", "jsonl", "csv", "html")
def report_command(
    name: str, process: str, version: int | None, status: str | None, since: str | None, until: str | None, then: str | None,
    zone: ZoneInfo, limit: int | None, views_url: str | None, url: str, format_: str, *, wait: bool,
) -> None:  # fmt: skip
    """Report on the instances of processes: overview, outcomes, durations, decisions, failures, waiting, compensations, variants,
    throughput, timeline (started, ended and open in each period) or flow (which event follows which). Of an instance that began
    again each life counts.

    It reads the views that pm projections run keeps, and says on stderr when they are behind. Times are those of the messages. --since
    and --until ask when an instance started; for durations of steps, decisions and failures, when these began. --as-of reads the whole
    log, since no view stands still. In data, spans are seconds and shares parts of 1. -o html writes a page that needs nothing else:
    of overview one with all reports, charts and the flow of events, of another report one with it alone.
    """
    page = _page() if format_ == "html" else None
    from projections.reports import REPORTS, Scope
    from projections.views import places

    reports = {each: REPORTS[each] for each in (NAMES if page and name == "overview" else (name,))}
    needed = [each() for each in dict.fromkeys(projection for report in reports.values() for projection in report.reads)]
    scope = Scope(process, version, status or "", _time(since, zone), _time(until, zone, end=True))
    before = _time(then, zone, end=True)
    with _views(needed, url, views_url, before, wait=wait) as (views, behind), views.read() as connection:
        found = {each: report.query(connection, scope) for each, report in reports.items()}
        read = places(connection)
    if process and not any(found.values()):
        with existing_log(url) as store:
            known_process(store, process)
    if page:
        times = {"since": since, "until": until, "as of": then}
        asked = {"process": process, "version": version, "status": status, **times, "time zone": any(times.values()) and zone.key}
        position = min(read[each.name].position for each in needed)
        about = page.About(datetime.now(UTC), position, behind, [(each, str(value)) for each, value in asked.items() if value])
        click.echo(page.render(found, about, limit))
    else:
        _write(found[name], reports[name].row._fields, format_, limit, zone)


def _page() -> "ModuleType":
    try:
        from process_manager.interfaces.html_report import page
    except ModuleNotFoundError as error:
        if error.name not in {"graphlay", "jinja2", "markupsafe", "vl_convert"}:
            raise
        raise CliError("-o html needs what draws it: pip install 'process-manager[html]'") from error
    return page


@contextmanager
def _views(
    needed: "Sequence[Projection]", url: str, views_url: str | None, before: int | None, *, wait: bool
) -> "Iterator[tuple[Views, str]]":
    """The views to read, and how many records they lack, in words."""
    with existing_log(url) as store:
        if before is None:
            with opened_views(url, views_url) as views:
                yield views, ready(store, views, needed, wait=wait)
        else:
            from process_manager.interfaces.bootstrap import collect_less
            from projections.as_of import as_of

            collect_less()
            with as_of(store, before, needed) as views:
                yield views, ""


def _write(rows: Sequence[Any], columns: Sequence[str], format_: str, limit: int | None, zone: ZoneInfo) -> None:
    table = format_ == "table"
    shown = rows[: limit or (SHOWN if table else None)]
    output.write_rows(
        ({column: _readable(value, zone) if table else _plain(value) for column, value in row._asdict().items()} for row in shown),
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


def _readable(value: Any, zone: ZoneInfo) -> Any:
    """For people: times in their zone, which is marked unless it is UTC."""
    if isinstance(value, datetime) and zone.key != "UTC":
        return f"{value.astimezone(zone):%Y-%m-%d %H:%M:%S %Z}"
    if isinstance(value, timedelta):
        return readable.span(value)
    if isinstance(value, float):
        return readable.share(value)
    return " > ".join(value) if isinstance(value, tuple) else value
