"""`pm store`."""

from pathlib import Path

import click

from process_manager.interfaces.cli.errors import REFUSED, CliError, say
from process_manager.interfaces.cli.options import command, existing_log, group, store_option
from process_manager.interfaces.cli.serve import serve


@group("store", example="pm store backup shop-backup.db --store sqlite:///shop.db")
def store_command() -> None:
    """Back a store up, or serve it for development."""


@command("backup", of=store_command, example="pm store backup shop-backup.db --store sqlite:///shop.db")
@click.argument("file", type=click.Path(path_type=Path))
@store_option
def backup(file: Path, url: str) -> None:
    """Copy the store as it stands now to a new FILE, while workers run.

    An existing FILE is never overwritten.
    """
    if file.exists():
        raise CliError(f"{file} exists: a backup goes to a new file", REFUSED)
    from process_manager.adapters.sqlite import SqliteStore

    with existing_log(url) as store:
        if not isinstance(store, SqliteStore):
            raise CliError("only a store in a file can be copied: back a server up by its own means", REFUSED)
        store.backup(file)
    say(f"{url} is copied to {file}, {file.stat().st_size:,} bytes")


store_command.add_command(serve)
