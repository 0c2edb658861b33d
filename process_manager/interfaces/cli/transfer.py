"""`pm export` and `pm import`."""

import os
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from process_manager.interfaces import bootstrap
from process_manager.interfaces.address import read_address, shown
from process_manager.interfaces.cli.errors import REFUSED, CliError, say
from process_manager.interfaces.cli.events import opened
from process_manager.interfaces.cli.instances import STATUSES
from process_manager.interfaces.cli.options import command, existing_log, known_instance, known_process, store_option
from process_manager.interfaces.cli.words import counted

if TYPE_CHECKING:
    from process_manager.ports import EventStore


@command(
    "export",
    example="pm export order_fulfilment-1001 > sample.jsonl\n"
    "pm list --status running -o ids | pm export - --mask card --mask lines.sku > sample.jsonl",
)
@click.argument("names", metavar="[INSTANCE]...", nargs=-1)
@click.option("--process", default="", metavar="NAME", help="The instances of this process.")
@click.option("--status", type=click.Choice(STATUSES), metavar="STATUS", help="The instances that are so, as for pm list.")
@click.option(
    "--mask", "fields", multiple=True, metavar="FIELD",
    help="Hide the values of this field of inputs and commands, a path with dots as lines.sku; may be given again.",
)  # fmt: skip
@store_option
def export_command(names: tuple[str, ...], process: str, status: str | None, fields: tuple[str, ...], url: str) -> None:
    """Write the histories of instances as JSON Lines to standard output: the named ones (- reads names from standard input), or all.

    A masked value is hidden wherever it stands in the history of the instance: in names, reasons and keys too. The same value has
    the same mask in one export. Reasons are your own words: what they say in another form is not found. A field at which nothing
    stands in any of them is an error, and nothing is written.
    """
    from process_manager.core.masking import Mask
    from process_manager.interfaces.transfer.history_export import export, unmatched

    if names and (process or status):
        raise click.UsageError("name instances, or choose them with --process and --status")
    mask = Mask(fields, os.urandom(32)) if fields else None
    with existing_log(url) as store:
        chosen = list(_chosen(store, names, process, status))
        if names:
            for stream in chosen:
                known_instance(store, stream)
        elif not chosen:
            known_process(store, process)
        if mask and chosen and (missing := unmatched(store, chosen, mask)):
            raise CliError(f"--mask {', '.join(missing)}: hides no text and no number of these instances, so nothing was written")
        for line in export(store, chosen, mask):
            click.echo(line)


def _chosen(store: "EventStore", names: tuple[str, ...], process: str, status: str | None) -> Iterator[str]:
    from process_manager.interfaces.reading.histories import instances
    from process_manager.interfaces.reading.instance_scan import scan

    if names:
        return (name for word in names for name in (_lines(sys.stdin) if word == "-" else [word]))
    return (row["instance"] for row in scan(store, process, status)) if status else instances(store, process)


def _lines(source: TextIO) -> Iterator[str]:
    """One name a line, since a name may hold blanks."""
    return (line.rstrip("\n") for line in source if line.strip())


@command(
    "import", example="pm import sample.jsonl --store sqlite:///sample.db\npm drift --app shop.candidate:app --store sqlite:///sample.db"
)
@click.argument("file", type=click.Path(allow_dash=True))
@store_option
def import_command(file: str, url: str) -> None:
    """Read exported histories from FILE (- for standard input) into a new store.

    It is for pm list, show, replay, explain and drift. Nothing may act there: pm run and pm publish refuse it.
    """
    from process_manager.interfaces.transfer.history_import import HistoryImport, NotAnExport

    path = read_address(url).path
    if path is None or path.exists():
        raise CliError(f"{shown(url)}: an import goes into a new file: name one that is not there yet", REFUSED)
    with opened(file) as source, closing(bootstrap.open_store(url)) as store:
        reading = HistoryImport(store)
        try:
            reading.read(source)
        except BaseException as error:
            _remove(path)
            raise CliError(f"{file}: {error}") if isinstance(error, NotAnExport) else error from error
    say(f"{counted(reading.instances, 'instance')} with {counted(reading.records, 'record')} in {path}")


def _remove(path: Path) -> None:
    """Remove the file of an import that failed: it would be taken for a whole one."""
    for more in ("", "-wal", "-shm"):
        path.with_name(path.name + more).unlink(missing_ok=True)
