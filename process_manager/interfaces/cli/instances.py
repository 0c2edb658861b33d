"""`pm list` and `pm show`."""

import click

from process_manager.interfaces.cli import output
from process_manager.interfaces.cli.options import command, existing_store, format_option, instance_argument, no_instance, store_option

STATUSES = (
    "not_started", "running", "compensating", "suspended", "completed", "compensated", "compensation_failed", "aborted", "cancelled",
)  # fmt: skip


@command("list", example="pm list --status running\npm list --process order_fulfilment -o ids")
@click.option("--process", default="", metavar="NAME", help="Only instances of this process.")
@click.option(
    "--status", type=click.Choice(STATUSES), metavar="STATUS", help=f"Only instances that are {', '.join(STATUSES[:-1])} or {STATUSES[-1]}."
)
@store_option
@format_option(*output.FORMATS)
def list_command(process: str, status: str | None, url: str, format_: str) -> None:
    """List the instances of processes, oldest first. Needs no app."""
    from process_manager.interfaces.instances import COLUMNS, scan

    store = existing_store(url)
    try:
        output.write_rows(scan(store, process, status or ""), COLUMNS, format_, "instance", hidden=("process", "key"))
    finally:
        store.close()


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
    from process_manager.interfaces.instances import as_rows

    store = existing_store(url)
    try:
        records = store.read_stream(stream)
        if format_ == "table":
            for line in story(records):
                click.echo(output.printable(str(line)))
        else:
            columns = ("id", "type", "stream", "revision", "position", "time", "data", "metadata")
            output.write_rows(as_rows(records), columns, format_, "id")
    except StreamNotFound as error:
        raise no_instance(stream) from error
    finally:
        store.close()
