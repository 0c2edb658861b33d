"""`pm subscriptions`."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import click

from process_manager.core.records import moment
from process_manager.interfaces import bootstrap
from process_manager.interfaces.cli import output
from process_manager.interfaces.cli.errors import NOT_FOUND, REFUSED, CliError, say
from process_manager.interfaces.cli.options import (
    app_option,
    command,
    confirm,
    existing_store,
    format_option,
    group,
    roles_option,
    start_option,
    store_option,
)
from process_manager.interfaces.cli.words import counted, there
from process_manager.interfaces.loading import load_app

if TYPE_CHECKING:
    from process_manager.ports import EventStore, GroupInfo, GroupSettings
    from process_manager.runtime.wiring import RoleName

F = TypeVar("F", bound=Callable[..., Any])

COLUMNS = (
    "name", "consumers", "in_flight", "parked", "lag", "oldest", "checkpoint", "message_timeout", "max_retries", "strategy", "buffer",
)  # fmt: skip
STRATEGIES = ("PinnedByCorrelation", "Pinned", "RoundRobin", "DispatchToSingle")
FORMATS = ("table", "json", "jsonl", "ids")


@group("subscriptions", example="pm subscriptions list\npm subscriptions show shop.handlers.1f0c9ad2aa")
def subscriptions_command() -> None:
    """The consumer groups through which workers take what is theirs from the log."""


def _settings_options(function: F) -> F:
    for option in (
        click.option("--max-retries", type=click.IntRange(0, 2**31 - 1), metavar="N",
                     help="Deliveries after the first, before the store parks."),
        click.option("--in-flight", type=click.IntRange(1, 100_000), metavar="N",
                     help="Where several compete: what one may hold unacknowledged."),
        click.option("--strategy", type=click.Choice(STRATEGIES), help="Where several compete: who gets what."),
        click.option("--message-timeout", type=click.FloatRange(0.001, 2_000_000), metavar="SECONDS",
                     help="What is not acknowledged for so long is delivered again."),
    ):  # fmt: skip
        function = option(function)
    return function


@command("list", of=subscriptions_command, example="pm subscriptions list\npm subscriptions list -o json")
@store_option
@format_option(*FORMATS)
def list_groups(url: str, format_: str) -> None:
    """List the consumer groups: who works in them, what they hold, and how long the oldest record has waited. Needs no app."""
    with closing(existing_store(url)) as store:
        rows = [_row(info) for info in store.groups()]
    if format_ == "table":
        rows = [row | {"oldest": _age(row["oldest"])} for row in rows]
    output.write_rows(rows, COLUMNS, format_, "name", hidden=("message_timeout", "max_retries", "strategy", "buffer"))


@command("show", of=subscriptions_command, example="pm subscriptions show shop.handlers.1f0c9ad2aa\npm subscriptions show shop.processes")
@click.argument("name")
@store_option
def show_group(name: str, url: str) -> None:
    """Show the group NAME with its settings, its members and its types, as JSON; `waiting` is the oldest record that is
    not settled."""
    with closing(existing_store(url)) as store:
        info = _find(store, name)
        waiting = _oldest(store, info)
    where = info.where
    filter_ = {"types": sorted(where.types), "type_prefixes": where.type_prefixes, "stream_prefixes": where.stream_prefixes}
    output.write_json(_row(info) | {"waiting": waiting, "members": list(info.members), **filter_})


@command(
    "create",
    of=subscriptions_command,
    example="pm subscriptions create --app shop.orders:app --from now\npm subscriptions create --app shop.orders:app --in-flight 64",
)
@app_option
@store_option
@roles_option
@start_option
@_settings_options
def create_groups(app_name: str, url: str, only: "tuple[RoleName, ...] | None", start: str | None, **given: Any) -> None:
    """Create the groups that an app's workers need, where they are not there yet, without running any."""
    app = load_app(app_name)
    with closing(bootstrap.open_store(url)) as store:
        before = set(store.group_names())
        bootstrap.prepare(app, store, only, start=start, change=lambda settings: _changed(settings, given))
        created = [name for name in store.group_names() if name not in before]
    for name in created:
        click.echo(name)
    if not created:
        say("all of them were there")


@command("update", of=subscriptions_command, example="pm subscriptions update shop.calls.1f0c9ad2aa --message-timeout 120")
@click.argument("name")
@_settings_options
@click.option("--yes", is_flag=True, help="Do not ask.")
@store_option
def update_group(name: str, url: str, *, yes: bool, **given: Any) -> None:
    """Change settings of the group NAME. Its consumers may lose what they hold in their hands, which then is delivered again."""
    if all(value is None for value in given.values()):
        raise click.UsageError("say what is to change: --message-timeout, --strategy, --in-flight or --max-retries")
    with closing(existing_store(url)) as store:
        info = _find(store, name)
        confirm(f"change {info.name}, which has {counted(info.consumers, 'consumer')}?", yes=yes)
        store.update_group(info.name, _changed(info.settings, given))
    say(f"{info.name} is changed")


@command("delete", of=subscriptions_command, example="pm subscriptions delete shop.handlers.1f0c9ad2aa")
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask, and delete it under its consumers too.")
@store_option
def delete_group(name: str, url: str, *, yes: bool) -> None:
    """Delete the group NAME, with how far it has come and what it has parked.

    An app that is started again makes its groups anew, from where it took up its types first; receipts keep it from acting twice.
    """
    with closing(existing_store(url)) as store:
        info = _find(store, name)
        if info.consumers and not yes:
            raise CliError(f"{info.name} has {counted(info.consumers, 'consumer')}: stop them, or say --yes", REFUSED)
        confirm(f"delete {info.name}, with {counted(info.lag, 'record')} to come and {info.parked:,} parked?", yes=yes)
        store.delete_group(info.name)
    say(f"{info.name} is deleted")


def _find(store: "EventStore", name: str) -> "GroupInfo":
    """The group of this name, or the only one whose name starts so."""
    names = store.group_names()
    found = [each for each in names if each == name] or [each for each in names if each.startswith(f"{name}.")]
    if len(found) == 1:
        return store.group(found[0])
    raise CliError(f"{'several groups are' if found else 'no group is'} called {name!r}: {there(found or names)}", NOT_FOUND)


def _changed(settings: "GroupSettings", given: dict[str, Any]) -> "GroupSettings":
    changes = {name: value for name, value in given.items() if value is not None}
    if "message_timeout" in changes:
        changes["message_timeout"] = timedelta(seconds=changes["message_timeout"])
    return replace(settings, **changes)


def _oldest(store: "EventStore", info: "GroupInfo") -> output.Row | None:
    """The record that has waited longest: the first one behind the checkpoint that is as old as the group says."""
    if info.oldest is None:
        return None
    for record in store.read_all(after=info.checkpoint, where=info.where):
        if record.created >= info.oldest:
            return {"id": record.id, "type": record.type, "stream": record.stream, "revision": record.revision, "position": record.position}
    return None


def _row(info: "GroupInfo") -> output.Row:
    settings = info.settings
    return {
        "name": info.name, "consumers": info.consumers, "in_flight": info.in_flight, "parked": info.parked, "lag": info.lag,
        "oldest": None if info.oldest is None else moment(info.oldest), "checkpoint": info.checkpoint,
        "message_timeout": settings.message_timeout.total_seconds(), "max_retries": settings.max_retries,
        "strategy": settings.strategy, "buffer": settings.in_flight,
    }  # fmt: skip


def _age(oldest: datetime | None) -> str:
    if oldest is None:
        return ""
    seconds = max(0, (datetime.now(UTC) - oldest).total_seconds())
    return f"{timedelta(seconds=round(seconds))} ago"
