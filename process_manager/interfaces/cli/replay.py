"""`pm replay`."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from process_manager.interfaces.cli import output
from process_manager.interfaces.cli.errors import say
from process_manager.interfaces.cli.options import (
    Number,
    command,
    existing_log,
    format_option,
    if_any_app_option,
    instance_argument,
    known_instance,
    optional_definition,
    store_option,
)
from process_manager.interfaces.cli.times import read_end

if TYPE_CHECKING:
    from process_manager.core.replay import Replayed


@command("replay", example="pm replay order_fulfilment 1001\npm replay order_fulfilment 1001 --to 7 -o json")
@instance_argument
@click.option("--to", "last", type=Number(0), metavar="REVISION", help="Stop after the record of this revision.")
@click.option(
    "--at", "before", callback=read_end, metavar="TIME", help="Stop after what was decided until the end of this day, or up to this time."
)
@click.option("--data", "with_data", is_flag=True, help="In a table too, what stands in inputs and commands, and the commands' ids.")
@click.option("--follow", is_flag=True, help="Go on as more happens, until Ctrl-C.")
@if_any_app_option
@store_option
@format_option("table", "json", "jsonl")
def replay_command(
    stream: str, last: int | None, before: datetime | None, with_data: bool, follow: bool, app_name: str, url: str, format_: str
) -> None:  # fmt: skip
    """Go through an instance's history step by step: input, decision, commands, deadlines, and what changed.

    Nothing is run and nothing is written. With --app the process's own state is shown too.
    """
    if follow and (format_ == "json" or last is not None or before is not None):
        raise click.UsageError("--follow has no end: leave --to and --at out, and write -o jsonl")
    from process_manager.core.replay import Replay, as_json
    from process_manager.interfaces.reading.histories import followed, until

    process, _, key = stream.partition("-")
    definition = optional_definition(app_name, process)
    with existing_log(url) as store:
        known_instance(store, stream)
        replay = Replay(process, key, definition.evolve if definition else None)
        pieces = followed(store, stream) if follow else iter([until(store, stream, last, before)])
        turns = (turn for piece in pieces for turn in replay.take(piece))
        if format_ != "table":
            output.write_rows(map(as_json, turns), (), format_, "turn")
        elif not tell(turns, with_data=with_data):
            say("nothing had happened yet")


def tell(turns: "Iterable[Replayed]", *, with_data: bool = False) -> int:
    """Each turn: its number and what came, below it what followed and what changed; `with_data` below each what stands in it.

    Returns how many there were.
    """
    count = 0
    for count, turn in enumerate(turns, 1):  # noqa: B007  counted to the end
        data = dict(_data(turn)) if with_data else {}
        for at, line in enumerate(turn.lines):
            start = f"{'':>8}" if at else f"{turn.number:>4}  {line.time:%Y-%m-%d %H:%M:%S}  "
            click.echo(output.printable(start + line.text))
            if line.revision in data:
                click.echo(output.printable(f"{'':>12}{data[line.revision]}"))
        for name, (before, after) in turn.changes.items():
            click.echo(output.printable(f"{'':>12}{name}: {_said(before)} -> {_said(after)}"))
    return count


def _data(turn: "Replayed") -> "Iterator[tuple[int, str]]":
    """By revision, what stands in inputs and commands; of a command its id, which `pm why` takes, too."""
    from process_manager.core.facts import Receipt, StepStarted

    for fact, revision in turn.turn.facts:
        if isinstance(fact, StepStarted):
            yield revision, f"{fact.id}  {fact.data.decode()}"
        elif isinstance(fact, Receipt):
            yield revision, fact.input.data.decode()


def _said(value: Any) -> str:
    return "-" if value is None else f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S}" if isinstance(value, datetime) else str(value)
