"""`pm explain` and `pm why`."""

from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from shlex import quote
from typing import TYPE_CHECKING

import click

from process_manager.interfaces.cli import output
from process_manager.interfaces.cli.errors import NOT_FOUND, CliError
from process_manager.interfaces.cli.options import (
    command,
    existing_log,
    format_option,
    if_any_app_option,
    instance_argument,
    known_instance,
    optional_definition,
    store_option,
)

if TYPE_CHECKING:
    from process_manager.core.explain import Explanation, Late, Passing, Waiting
    from process_manager.ports import EventStore


@command("explain", example="pm explain order_fulfilment 1001 --app shop.orders:app")
@instance_argument
@if_any_app_option
@store_option
@format_option("table", "json")
def explain_command(stream: str, app_name: str, url: str, format_: str) -> None:
    """Say why an instance is where it is, what it waits for, since when, and what happens if nothing comes.

    Without --app it says what the recorded facts tell; with it also what the next deadline, or a retry of what stands still, would
    lead to and what can still happen. Nothing is written.
    """
    from process_manager.core.explain import Explainer
    from process_manager.interfaces.reading.histories import until

    process, _, key = stream.partition("-")
    explainer = Explainer(process, key, optional_definition(app_name, process))
    with existing_log(url) as store:
        known_instance(store, stream)
        explainer.take(until(store, stream))
        now = datetime.now(UTC)
        explanation = explainer.explanation(now)
        parked = _parked(store, explanation.failed)
    if format_ == "json":
        output.write_json(_as_json(explanation) | {"parked": parked})
    else:
        for line in _told(explanation, now, parked):
            click.echo(output.printable(line))


def _parked(store: "EventStore", failed: list[str]) -> list[str]:
    """Which of the commands of failed undos are parked."""
    if not failed:
        return []
    return sorted({each.record.id for group in store.group_names() for each in store.parked(group) if each.record.id in failed})


def _as_json(explanation: "Explanation") -> dict[str, object]:
    return asdict(explanation) | {
        "decisions": [line.text for line in explanation.decisions],
        "because": [line.text for line in explanation.because],
    }


def _told(it: "Explanation", now: datetime, parked: list[str]) -> Iterator[str]:
    from process_manager.core.instance import ENDED

    outcome = f": {it.outcome}" if it.outcome else ""
    yield f"{it.instance} is {it.status}{_since(it.since)}{outcome}"
    if it.decisions:
        yield from ("", "decided:", *(f"  {line}" for line in it.decisions))
    if it.because:
        yield from ("", "what happened last:", *(f"  {line}" for line in it.because))
    yield ""
    if it.waiting:
        yield from ("waits for:", *(f"  {_waiting(each)}" for each in it.waiting))
    else:
        yield "it has ended, and waits for nothing" if it.status in ENDED else "it waits for nothing"
    yield from (_late(each) for each in it.late)
    if it.actions:
        yield from ("", "what leads on:", *_ways(it, parked))
    if it.retried is not None:
        yield from ("", f"with this app pm {it.actions[0]} would now lead to:", *(f"  {text}" for text in it.retried or ["nothing else"]))
    if it.next is not None:
        yield from ("", *_next(it.next, now))
    if it.possible is not None:
        yield from ("", *_possible(it))


_LEADS = {
    ("suspended", "retry"): "take it again with the code that runs now, then what is kept behind it",
    ("suspended", "skip"): "leave it out and go on with what is kept behind it",
    ("suspended", "resume"): "let it go on with what is kept",
    ("suspended", "compensate"): "undo what it has done",
    ("compensation_failed", "retry"): "ask for the undo once more",
    ("compensation_failed", "skip"): "leave undone what could not be undone, and go on with the rest",
}


def _ways(it: "Explanation", parked: list[str]) -> Iterator[str]:
    for action in it.actions:
        yield f'  pm {action} {quote(it.instance)} --reason "...": ' + _LEADS.get((it.status, action), "end it as it is")
    for id_ in parked:
        yield f"  pm parked replay {id_}: deliver the parked command to its handler again; its success counts"


def _since(time: datetime | None) -> str:
    return f" since {_at(time)}" if time else ""


def _at(time: datetime) -> str:
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def _waiting(each: "Waiting") -> str:
    until = f", until {_at(each.due)}" if each.due else ""
    answered = f"; answered by {' or '.join(each.answers)}" if each.answers else ""
    return f"{each.what}{_since(each.since)}{until}{answered}"


def _late(each: "Late") -> str:
    until = f", or has no answer until {_at(each.due)}" if each.due else ""
    undone = f" by {' or '.join(each.undone_by)}" if each.undone_by else ""
    return f"{each.what} is not needed any more: when it is done after all{until}, it is undone{undone}"


def _next(passing: "Passing", now: datetime) -> Iterator[str]:
    late = " (that time is past: it passes as soon as a worker runs)" if passing.due < now else ""
    yield f"if nothing comes, {passing.what} is due at {_at(passing.due)}{late}"
    if passing.follows is None:
        yield "  what follows then, the app knows: name it with --app"
    else:
        yield from (f"  {text}" for text in passing.follows)


def _possible(it: "Explanation") -> Iterator[str]:
    if not it.possible:
        yield "no event can change it before an operator does" if it.actions else "no event can change it any more"
        return
    yield "what can happen once it is no longer suspended:" if it.status == "suspended" else "what can still happen:"
    for type_, follows in it.possible.items():
        yield f"  {type_}: {' or '.join(follows) or 'it is taken'}"


@command("why", example="pm why 5f0c9ad2-9a07-5c1e-8a52-6d3f9d1a7c11")
@click.argument("command_id")
@store_option
@format_option("table", "json")
def why_command(command_id: str, url: str, format_: str) -> None:
    """Say why the command COMMAND_ID was given: the input, the decision and its reason, and what became of it. Needs no app."""
    from process_manager.core.replay import Replay, as_json, settlement
    from process_manager.interfaces.cli.replay import tell
    from process_manager.interfaces.reading.histories import find_command, until

    with existing_log(url) as store:
        record = find_command(store, command_id)
        if record is None:
            raise CliError(f"no instance gave a command {command_id}", NOT_FOUND)
        process, _, key = record.stream.partition("-")
        turns = list(Replay(process, key).take(until(store, record.stream)))
    turn = next(each for each in turns if any(revision == record.revision for _, revision in each.turn.facts))
    answer = settlement(turns, command_id)
    if format_ == "json":
        output.write_json({"instance": record.stream, **as_json(turn), "answer": answer and as_json(answer)})
        return
    click.echo(output.printable(f"{record.stream} gave {record.type} {command_id}"))
    tell([turn, *([answer] if answer else [])])
    if answer is None:
        click.echo("it is not answered yet")
