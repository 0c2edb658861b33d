"""Which command an event of a scenario answers."""

from dataclasses import dataclass

from process_manager.core.definition import Definition
from process_manager.core.instance import Instance, Run
from process_manager.core.messages import Command, Event


@dataclass(frozen=True, slots=True)
class Delivery:
    """An event, and how it is delivered."""

    event: Event
    to: Command | None = None
    attempt: int = 0
    causation: str = ""
    correlation: str = ""
    solicited: bool = True


def answer(event: Event, *, to: Command, attempt: int = 0) -> Delivery:
    """The event answers this command, and this attempt of it; by default the newest."""
    return Delivery(event, to=to, attempt=attempt)


def unsolicited(event: Event, *, causation: str = "", correlation: str = "") -> Delivery:
    """The event comes without the causation of a command, as when a person publishes it by hand; or with another one."""
    return Delivery(event, causation=causation, correlation=correlation, solicited=False)


def command_answered(definition: Definition, instance: Instance, delivery: Delivery) -> str:
    """The id of the command that an event answers; "" for one that answers none. Raises LookupError where that is not clear."""
    if not delivery.solicited:
        return ""
    event = delivery.event
    handled = definition.handled[event.message_type]
    steps = {step.name for step in (*handled.done, *handled.failed)}
    runs = [run for run in instance.runs.values() if run.step in steps]
    if delivery.to is not None:
        runs = [run for run in runs if _command(definition, run) == delivery.to]
        if not runs:
            raise LookupError(f"{delivery.to!r} was not asked for, or {type(event).__name__} is no answer to it")
    else:
        runs = [run for run in runs if _agree(_command(definition, run), event)] or runs
    runs = [run for run in runs if run.is_open] or runs[-1:]
    if len(runs) > 1 and delivery.to is None:
        raise LookupError(f"{event!r} may answer {len(runs)} commands: say answer(event, to=command)")
    return _attempt(instance, runs[-1], delivery.attempt) if runs else ""


def _command(definition: Definition, run: Run) -> Command:
    command: Command = run.command.decoded(definition.steps[run.step].command)
    return command


def _agree(command: Command, event: Event) -> bool:
    mine, its = dict(command), dict(event)
    return all(mine[name] == its[name] for name in mine.keys() & its.keys())


def _attempt(instance: Instance, run: Run, attempt: int) -> str:
    ids = [id_ for id_, operation in instance.commands.items() if operation == run.operation]
    return ids[attempt - 1] if attempt else run.command_id
