"""`pm list` and `pm show`."""

from typing import TYPE_CHECKING

import click

from process_manager.interfaces.cli import output
from process_manager.interfaces.cli.errors import say
from process_manager.interfaces.cli.options import (
    Number,
    command,
    existing_log,
    format_option,
    instance_argument,
    known_instance,
    known_process,
    no_instance,
    store_option,
)
from process_manager.interfaces.cli.views import opened_views, ready, views_option, wait_option

if TYPE_CHECKING:
    from process_manager.interfaces.reading.instance_list import Listing
    from process_manager.ports import EventStore

SHOWN = 100
"""Rows of a table, unless --limit says otherwise; data is always whole."""

STATUSES = (
    "not_started", "running", "compensating", "suspended", "completed", "compensated", "compensation_failed", "aborted", "cancelled",
)  # fmt: skip


@command("list", example="pm list --status running\npm list --process order_fulfilment -o ids")
@click.option("--process", default="", metavar="NAME", help="Only instances of this process.")
@click.option(
    "--status", type=click.Choice(STATUSES), metavar="STATUS", help=f"Only instances that are {', '.join(STATUSES[:-1])} or {STATUSES[-1]}."
)
@click.option("--limit", type=Number(1), metavar="N", help=f"At most N instances. Default: {SHOWN} in a table, else all.")
@wait_option
@views_option
@store_option
@format_option(*output.FORMATS)
def list_command(
    process: str, status: str | None, limit: int | None, views_url: str | None, url: str, format_: str, *, wait: bool
) -> None:  # fmt: skip
    """List the instances of processes, oldest first, each with the steps and deadlines it waits for. Needs no app.

    It says what the log says: it reads the views, and from the log what they lack; where they lack more than 1,000 records, all of it.
    """
    from process_manager.interfaces.reading.instance_list import COLUMNS

    limit = limit or (SHOWN if format_ == "table" else None)
    with existing_log(url) as store:
        if wait:
            _wait(store, url, views_url)
        found = _listing(store, url, views_url, process, status or "", limit)
        if not found.total:
            known_process(store, process)
    rows = found.rows
    if format_ in {"table", "csv"}:
        rows = [row | {"waits_for": ", ".join(row["waits_for"])} for row in rows]
    output.write_rows(rows, COLUMNS, format_, "instance", hidden=("process", "key"))
    if limit and found.total > limit:
        say(f"{limit:,} of {found.total:,} instances; --limit shows more")


def _listing(store: "EventStore", url: str, views_url: str | None, process: str, status: str, limit: int | None) -> "Listing":
    from process_manager.interfaces.reading import instance_list
    from process_manager.interfaces.reading.views import default_path

    with instance_list.views_at(views_url) if views_url else instance_list.views_file(default_path(url)) as execute:
        found = execute and instance_list.from_views(store, execute, process, status, limit)
    if found:
        return found
    from process_manager.interfaces.reading.instance_scan import scan, with_waits

    rows = list(scan(store, process, status))
    return instance_list.Listing(list(with_waits(store, rows[:limit])), len(rows))


def _wait(store: "EventStore", url: str, views_url: str | None) -> None:
    from projections.shipped import Deadlines, Instances, Steps

    with opened_views(url, views_url) as views:
        ready(store, views, [Instances(), Steps(), Deadlines()], wait=True)


@command("show", example="pm show order_fulfilment-1001\npm show order_fulfilment 1001 -o json")
@instance_argument
@store_option
@format_option(*output.FORMATS)
def show_command(stream: str, url: str, format_: str) -> None:
    """Tell the story of one instance, named PROCESS-KEY or PROCESS KEY. Needs no app.

    As data (-o json and so on) it is the records of the instance's stream.
    """
    from process_manager.core.story import story
    from process_manager.errors import StreamNotFound
    from process_manager.interfaces.reading.record_rows import COLUMNS, record_rows

    with existing_log(url) as store:
        if format_ == "table":
            known_instance(store, stream)
            for line in story(store.read_stream(stream)):
                click.echo(output.printable(str(line)))
        else:
            try:
                output.write_rows(record_rows(store.read_stream(stream)), COLUMNS, format_, "id")
            except StreamNotFound as error:
                raise no_instance(stream) from error
