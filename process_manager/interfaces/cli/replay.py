"""`pm replay`."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from process_manager.interfaces.cli import output
from process_manager.interfaces.cli.options import (
    command,
    existing_log,
    format_option,
    if_any_app_option,
    instance_argument,
    no_instance,
    optional_definition,
    read_time,
    store_option,
)

if TYPE_CHECKING:
    from process_manager.core.replay import Replayed


@command("replay", example="pm replay order_fulfilment 1001\npm replay order_fulfilment 1001 --to 7 -o json")
@instance_argument
@click.option("--to", "last", type=click.IntRange(0), metavar="REVISION", help="Stop after the record of this revision.")
@click.option("--at", "at", callback=read_time, metavar="TIME", help="Stop after what was decided up to then.")
@click.option("--follow", is_flag=True, help="Go on as more happens, until Ctrl-C.")
@if_any_app_option
@store_option
@format_option("table", "json", "jsonl")
def replay_command(stream: str, last: int | None, at: datetime | None, follow: bool, app_name: str, url: str, format_: str) -> None:
    """Go through an instance's history step by step: input, decision, commands, deadlines, and what changed.

    Nothing is run and nothing is written. With --app the process's own state is shown too.
    """
    if follow and (format_ == "json" or last is not None or at is not None):
        raise click.UsageError("--follow has no end: leave --to and --at out, and write -o jsonl")
    from process_manager.core.replay import Replay, as_json
    from process_manager.errors import StreamNotFound
    from process_manager.interfaces.histories import followed, until

    process, _, key = stream.partition("-")
    definition = optional_definition(app_name, process)
    with existing_log(url) as store:
        replay = Replay(process, key, definition.evolve if definition else None)
        pieces = followed(store, stream) if follow else iter([until(store, stream, last, at)])
        turns = (turn for piece in pieces for turn in replay.take(piece))
        try:
            if format_ == "table":
                tell(turns)
            else:
                output.write_rows(map(as_json, turns), (), format_, "turn")
        except StreamNotFound as error:
            raise no_instance(stream) from error


def tell(turns: "Iterable[Replayed]") -> None:
    """Each turn: its number and what came, below it what followed and what changed."""
    for turn in turns:
        for line in turn.lines[:1]:
            click.echo(output.printable(f"{turn.number:>4}  {line.time:%Y-%m-%d %H:%M:%S}  {line.text}"))
        for line in turn.lines[1:]:
            click.echo(output.printable(f"{'':>8}{line.text}"))
        for name, (before, after) in turn.changes.items():
            click.echo(output.printable(f"{'':>12}{name}: {_said(before)} -> {_said(after)}"))


def _said(value: Any) -> str:
    return "-" if value is None else f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S}" if isinstance(value, datetime) else str(value)
