"""`pm deadlines`."""

import re
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import TYPE_CHECKING

import click

from process_manager.interfaces.cli import output
from process_manager.interfaces.cli.errors import NOT_FOUND, REFUSED, CliError
from process_manager.interfaces.cli.operate import acting_options, carry_out
from process_manager.interfaces.cli.options import (
    command,
    existing_log,
    existing_store,
    format_option,
    group,
    known_process,
    no_instance,
    store_option,
    stream_of,
)
from process_manager.interfaces.cli.times import read_time

if TYPE_CHECKING:
    from process_manager.core.deadlines import Pending
    from process_manager.core.instance import Instance
    from process_manager.core.signals import OperatorAction
    from process_manager.ports import EventStore

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def _span(ctx: click.Context, param: click.Parameter, value: str | None) -> timedelta | None:
    if value is None:
        return None
    found = re.fullmatch(r"(-?)(\d{1,6})([smhd])", value)
    if found is None:
        raise click.BadParameter(f"{value!r} is no span: write 90m, 12h or 3d, or -3d for earlier", ctx, param)
    sign, number, unit = found.groups()
    return timedelta(**{_UNITS[unit]: int(sign + number)})


@group("deadlines", example="pm deadlines list --process order_fulfilment\npm deadlines cancel plan_trip 7 payment_due --reason paid")
def deadlines_command() -> None:
    """List the deadlines that are pending, move and cancel them."""


@command("list", of=deadlines_command, example="pm deadlines list -o jsonl\npm deadlines list order_fulfilment 1001")
@click.argument("instance", nargs=-1)
@click.option("--process", default="", metavar="NAME", help="Only instances of this process.")
@store_option
@format_option(*output.FORMATS)
def list_deadlines(instance: tuple[str, ...], process: str, url: str, format_: str) -> None:
    """List the deadlines that are pending, earliest first: of all instances, or of one. Needs no app.

    The deadline of a step is called STEP/OPERATION, that of an early event pm.expiry/EVENT. With -o ids: the instances.
    """
    from process_manager.interfaces.reading.deadlines import COLUMNS, rows, rows_of

    with existing_log(url) as store:
        found = rows_of(_current(store, stream_of(instance))) if instance else rows(store, process)
        first = next(found, None)
        if first is None:
            known_process(store, process)
        output.write_rows(() if first is None else chain((first,), found), COLUMNS, format_, "instance", hidden=("process", "key"))


@command("move", of=deadlines_command, example='pm deadlines move order_fulfilment 1001 ship_order --by 2d --reason "a strike"')
@click.argument("deadline", nargs=-1, required=True, metavar="INSTANCE NAME")
@click.option("--to", callback=read_time, metavar="TIME", help="When it is due from now on.")
@click.option("--by", callback=_span, metavar="SPAN", help="How much later it is due: 90m, 12h, 3d; -3d for earlier.")
@acting_options
@store_option
def move_deadline(
    deadline: tuple[str, ...], to: datetime | None, by: timedelta | None, reason: str, actor: str, request: str, seconds: float, url: str
) -> int:
    """Move the deadline NAME of an instance, named PROCESS-KEY or PROCESS KEY.

    The deadline of a step may be named by its step while one run of it is open. Needs no app.
    """
    from process_manager.core.signals import OperatorAction

    if (to is None) == (by is None):
        raise click.UsageError("say when it is due with --to, or how much later with --by")
    stream, name = _named(deadline)
    action = OperatorAction(stream, request, "move-deadline", actor, reason)
    with closing(existing_store(url)) as store:
        return _do(store, action, name, seconds, lambda pending: _due(pending, to, by or timedelta()))


@command("cancel", of=deadlines_command, example='pm deadlines cancel plan_trip 7 payment_due --reason "paid in cash"')
@click.argument("deadline", nargs=-1, required=True, metavar="INSTANCE NAME")
@acting_options
@store_option
def cancel_deadline(deadline: tuple[str, ...], reason: str, actor: str, request: str, seconds: float, url: str) -> int:
    """Cancel the deadline NAME of an instance, named PROCESS-KEY or PROCESS KEY. Needs no app.

    That of a step can only be moved: without it the step could wait for ever.
    """
    from process_manager.core.signals import OperatorAction

    stream, name = _named(deadline)
    action = OperatorAction(stream, request, "cancel-deadline", actor, reason)
    with closing(existing_store(url)) as store:
        return _do(store, action, name, seconds, lambda _: None)


def _named(deadline: tuple[str, ...]) -> tuple[str, str]:
    """The instance and the deadline of a command line."""
    *instance, name = deadline
    return stream_of(instance), name


def _current(store: "EventStore", stream: str) -> "Instance":
    from process_manager.errors import StreamNotFound
    from process_manager.interfaces.operating.actions import current

    try:
        return current(store, stream)
    except StreamNotFound as error:
        raise no_instance(stream) from error


def _pending(store: "EventStore", stream: str, name: str) -> "Pending":
    """The deadline of this name, or of the step that has it."""
    from process_manager.interfaces.reading.deadlines import of_instance

    pending = of_instance(_current(store, stream))
    meant = [each for each in pending if each.name == name] or [each for each in pending if each.name.partition("/")[0] == name]
    if len(meant) != 1:
        what = f"{len(meant)} deadlines are called {name}" if meant else f"it has no deadline {name}"
        raise CliError(f"{stream}: {what}; pending: {', '.join(each.name for each in pending) or 'none'}", NOT_FOUND)
    return meant[0]


def _due(pending: "Pending", to: datetime | None, by: timedelta) -> datetime:
    try:
        return (to or pending.due + by).astimezone(UTC)
    except OverflowError as error:
        raise click.UsageError("that is beyond all calendars") from error


def _do(store: "EventStore", action: "OperatorAction", name: str, seconds: float, due: "Callable[[Pending], datetime | None]") -> int:
    """Carry an action out on the deadline of this name; the same request again is what it was."""
    from process_manager.interfaces.operating.actions import asked_before, obstacle

    earlier = asked_before(store, action)
    if earlier is not None and earlier.action == action.action:
        return carry_out(store, [earlier], seconds)
    pending = _pending(store, action.instance, name)
    action = replace(action, deadline=pending.name, due=due(pending))
    why = obstacle(store, action)
    if why:
        raise CliError(f"{action.instance}: {why}", REFUSED)
    return carry_out(store, [action], seconds)
