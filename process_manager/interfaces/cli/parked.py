"""`pm parked`."""

from collections.abc import Iterator
from contextlib import closing
from itertools import chain
from typing import TYPE_CHECKING, Any

import click

from process_manager.core.records import moment
from process_manager.interfaces.cli import output
from process_manager.interfaces.cli.errors import NOT_FOUND, CliError, say
from process_manager.interfaces.cli.operate import signing_options
from process_manager.interfaces.cli.options import command, confirm, existing_store, format_option, group, store_option
from process_manager.interfaces.cli.words import counted, there

if TYPE_CHECKING:
    from process_manager.ports import EventStore, Parked

COLUMNS = ("id", "group", "type", "stream", "revision", "parked", "reason")


@group("parked", example="pm parked list\npm parked replay --all")
def parked_command() -> None:
    """List, show, replay and drop what a consumer group has set aside because it could not be handled."""


@command("list", of=parked_command, example="pm parked list\npm parked list -o json")
@click.option("--group", "group_name", default="", metavar="NAME", help="Only this group, or groups whose name starts so (shop.handlers).")
@store_option
@format_option(*output.FORMATS)
def list_parked(group_name: str, url: str, format_: str) -> None:
    """List what is parked, oldest first in each group. Needs no app."""
    store = existing_store(url)
    try:
        rows = [_row(name, parked) for name, parked in _parked(store, group_name)]
        output.write_rows(rows, COLUMNS, format_, "id")
    finally:
        store.close()


@command("show", of=parked_command, example="pm parked show 5f0c9ad2-9a07-5c1e-8a52-6d3f9d1a7c11")
@click.argument("id")
@store_option
def show_parked(id: str, url: str) -> None:
    """Show the parked record ID with its data, as JSON."""
    from process_manager.interfaces.reading.record_rows import record_rows

    store = existing_store(url)
    try:
        found = [(name, parked) for name, parked in _parked(store, "") if parked.record.id == id]
        if not found:
            raise CliError(f"{id} is parked in no group: pm parked list shows what is", NOT_FOUND)
        for name, parked in found:
            output.write_json(_row(name, parked) | next(record_rows([parked.record])))
    finally:
        store.close()


@command(
    "replay",
    of=parked_command,
    example="pm parked replay 5f0c9ad2-9a07-5c1e-8a52-6d3f9d1a7c11\npm parked replay --all --group shop.handlers",
)
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--all", "everything", is_flag=True, help="Everything that is parked.")
@click.option("--group", "group_name", default="", metavar="NAME", help="Only this group, or groups whose name starts so.")
@click.option("--yes", is_flag=True, help="Do not ask about commands that their instances do not want any more.")
@store_option
def replay_parked(ids: tuple[str, ...], group_name: str, url: str, *, everything: bool, yes: bool) -> None:
    """Deliver parked records again, when what kept them from being handled is mended.

    With --all it asks first if commands are among them whose instance undoes what it has done, or has ended: they are carried out, and
    then undone where their step has an undo.
    """
    from process_manager.interfaces.operating.parked import unwanted

    _check_named(ids, everything=everything, verb="replay")
    with closing(existing_store(url)) as store:
        chosen = _chosen(store, ids, group_name, everything=everything, verb="replay")
        late = unwanted(store, chain.from_iterable(chosen.values())) if everything else {}
        if late:
            told = f"{counted(len(late), 'command')} of instances that do not go on ({next(iter(late.values()))})"
            confirm(f"{told} would be carried out, and undone where the step has an undo: deliver all?", yes=yes)
        count = sum(store.replay_parked(name, None if everything else list(ids)) for name in chosen)
    say(f"{count} delivered again")


@command("drop", of=parked_command, example='pm parked drop 5f0c9ad2-9a07-5c1e-8a52-6d3f9d1a7c11 --reason "settled by hand"')
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--all", "everything", is_flag=True, help="Everything that is parked.")
@click.option("--group", "group_name", default="", metavar="NAME", help="Only this group, or groups whose name starts so.")
@signing_options
@click.option("--yes", is_flag=True, help="Do not ask.")
@store_option
def drop_parked(ids: tuple[str, ...], group_name: str, reason: str, actor: str, url: str, *, everything: bool, yes: bool) -> None:
    """Let go of parked records: they are not delivered again. Who did it and why stands in the log, in pm.dropped-GROUP."""
    from process_manager.interfaces.operating.parked import drop

    _check_named(ids, everything=everything, verb="drop")
    with closing(existing_store(url)) as store:
        chosen = _chosen(store, ids, group_name, everything=everything, verb="drop")
        count = sum(map(len, chosen.values()))
        if count:
            confirm(f"drop {counted(count, 'parked record')}?", yes=yes)
        dropped = sum(drop(store, name, parked, actor, reason) for name, parked in chosen.items() if parked)
    say(f"{dropped:,} dropped")


def _check_named(ids: tuple[str, ...], *, everything: bool, verb: str) -> None:
    if bool(ids) == everything:
        raise click.UsageError(f"name the ids to {verb}, or say --all")


def _chosen(store: "EventStore", ids: tuple[str, ...], group_name: str, *, everything: bool, verb: str) -> "dict[str, list[Parked]]":
    """By group, the parked records that ids name, or all."""
    found = {name: [each for each in store.parked(name) if everything or each.record.id in ids] for name in _groups(store, group_name)}
    known = {each.record.id for parked in found.values() for each in parked}
    if missing := [each for each in ids if each not in known]:
        raise CliError(f"{', '.join(missing)}: not parked; there was nothing to {verb}", NOT_FOUND)
    return found


def _groups(store: "EventStore", name: str) -> list[str]:
    names = store.group_names()
    found = [each for each in names if not name or each == name or each.startswith(f"{name}.")]
    if name and not found:
        raise CliError(f"there is no group {name!r}: {there(names)}", NOT_FOUND)
    return found


def _parked(store: "EventStore", name: str) -> "Iterator[tuple[str, Parked]]":
    for group_name in _groups(store, name):
        for parked in store.parked(group_name):
            yield group_name, parked


def _row(group: str, parked: "Parked") -> dict[str, Any]:
    record = parked.record
    return {
        "id": record.id, "group": group, "type": record.type, "stream": record.stream, "revision": record.revision,
        "parked": moment(parked.parked_at), "reason": parked.reason,
    }  # fmt: skip
