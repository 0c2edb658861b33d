"""`pm reconcile`."""

from contextlib import closing
from typing import TYPE_CHECKING

import click

from process_manager.interfaces import bootstrap
from process_manager.interfaces.cli import output
from process_manager.interfaces.cli.errors import NOT_FOUND, REFUSED, CliError, say
from process_manager.interfaces.cli.options import app_option, check_start, command, existing_store, format_option, store_option
from process_manager.interfaces.cli.progress import Progress
from process_manager.interfaces.cli.words import counted, there
from process_manager.interfaces.loading import load_app

if TYPE_CHECKING:
    from process_manager.core.records import Record
    from process_manager.runtime.reconcile import Found

SHOWN = 20
"""Missed events that the summary for people names."""


@command(
    "reconcile", example="pm reconcile --app shop.orders:app\npm reconcile --app shop.orders:app --since start --type orders.order-placed"
)
@app_option
@store_option
@click.option(
    "--since", callback=check_start, metavar="start|POSITION",
    help="Offer everything after this position, also what is older than the app's first start or than the handling of a type. "
    "Default: each type from where on the app has taken it.",
)  # fmt: skip
@click.option("--type", "types", multiple=True, metavar="TYPE", help="Only events of this type; may be repeated.")
@click.option(
    "--clock", type=click.Choice(["real", "driven"]), default="real", show_default=True, help="As the workers of this store have it."
)
@format_option("table", "json")
def reconcile_command(app_name: str, url: str, since: str | None, types: tuple[str, ...], clock: bootstrap.ClockName, format_: str) -> None:
    """Offer recorded events to the processes again, and take what was missed.

    An event that was taken has a receipt and is left alone, so this may be run at any time, beside workers. It ends where the workers
    have got to, and lists the events that had no receipt and were taken now.
    """
    app = load_app(app_name)
    if not app.definitions:
        raise CliError(f"{app_name} has no processes: there is nothing to reconcile", REFUSED)
    with closing(existing_store(url)) as store:
        _check_types(types, {type_ for definition in app.definitions.values() for type_ in definition.handled})
        progress = Progress()
        run = bootstrap.reconcile(app, store, clock, since, types)
        while run.step():
            progress.show(f"{run.found.offered:,} offered, {run.found.missed:,} had been missed, at position {run.found.position:,}")
        progress.clear()
    output.write_json(_as_json(run.found)) if format_ == "json" else _tell(run.found)


def _check_types(types: tuple[str, ...], handled: set[str]) -> None:
    unknown = [type_ for type_ in types if type_ not in handled]
    if unknown:
        raise CliError(f"no process takes {', '.join(unknown)}: {there(sorted(handled))}", NOT_FOUND)


def _as_json(found: "Found") -> output.Row:
    return {
        "since": found.since,
        "until": found.until,
        "offered": found.offered,
        "missed": found.missed,
        "parked": found.parked,
        "taken": [_row(record) for record in found.named],
        "unread": [_row(record) | {"reason": reason} for record, reason in found.unread],
    }


def _row(record: "Record") -> output.Row:
    return {"id": record.id, "type": record.type, "stream": record.stream, "position": record.position}


def _tell(found: "Found") -> None:
    click.echo(f"{counted(found.offered, 'event')} offered, {found.missed:,} of them missed before and taken now")
    for record in found.named[:SHOWN]:
        click.echo(f"  {record.type} {record.id} in {record.stream}")
    if found.missed > SHOWN:
        click.echo(f"  and {found.missed - SHOWN:,} more: -o json names {len(found.named):,}")
    for record, reason in found.unread[:SHOWN]:
        say(f"not taken: {record.type} {record.id}: {reason}")
    if found.parked:
        say(f"{found.parked:,} are parked and were left alone: pm parked list")
