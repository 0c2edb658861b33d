"""Deadlines: what a passed one concerns, and which records set and clear one in the index of pending deadlines."""

from datetime import datetime
from typing import Literal, NamedTuple

from process_manager.core.facts import (
    FACTS,
    AttemptEnded,
    DeadlineCancelled,
    DeadlineReached,
    DeadlineSet,
    Fact,
    InputExpired,
    InputKept,
    Receipt,
    RetryPlanned,
    StepStarted,
)  # fmt: skip
from process_manager.core.instance import Instance, Run, Timer
from process_manager.core.messages import Json
from process_manager.core.signals import DeadlinePassed


class Pending(NamedTuple):
    """A deadline of an instance, as the index keeps it."""

    name: str
    generation: int
    due: datetime


LEFTOVER = "pm/kept"
"""The deadline that a turn sets to now when kept inputs do not fit into its append; they are taken when it passes."""

EXPIRY = "pm.expiry"  # no step or deadline has a dot in its name


def expiry_name(input_id: str) -> str:
    """The name of the deadline until which an early input waits."""
    return f"{EXPIRY}/{input_id}"


def reached(instance: Instance, passed: DeadlinePassed) -> Run | Timer | Literal["expiry"] | None:
    """What a passed deadline concerns: a run, a named deadline, or the expiry of an early input.

    None when it was moved, cancelled, met or has passed before.
    """
    kind, _, rest = passed.name.partition("/")
    if kind == EXPIRY:
        kept = instance.kept.get(rest)
        return "expiry" if kept is not None and kept.until is not None else None
    run = instance.runs.get(rest)
    if run is not None and run.step == kind:
        return run if run.is_open and passed.generation == generation(run) else None
    timer = instance.timers.get(passed.name)
    return timer if timer is not None and timer.due is not None and timer.generation == passed.generation else None


def generation(run: Run) -> int:
    """The generation of a run's deadline: odd for an attempt's answer, even for the wait before an attempt. A move by hand adds `MOVED`."""
    usual = attempt_generation(run.attempt) if run.status == "open" else retry_generation(run.attempt + 1)
    return usual + MOVED * run.moves


MOVED = 1 << 20
"""More than twice the attempts of any run."""


def pending(instance: Instance) -> list[Pending]:
    """The deadlines of an instance that are set and have not passed."""
    found = [Pending(run.deadline, generation(run), run.due) for run in instance.runs.values() if run.is_open and run.due is not None]
    found += [Pending(name, timer.generation, timer.due) for name, timer in instance.timers.items() if timer.due is not None]
    return found + [Pending(expiry_name(id_), 1, kept.until) for id_, kept in instance.kept.items() if kept.until is not None]


def attempt_generation(attempt: int) -> int:
    """The generation of an attempt's own deadline."""
    return 2 * attempt - 1


def retry_generation(attempt: int) -> int:
    """The generation of the wait before an attempt."""
    return 2 * attempt - 2


def set_by(fact: Fact) -> Pending | None:
    """The deadline that a fact sets."""
    match fact:
        case StepStarted(step=step, due=due, attempt=attempt) if due is not None:
            return Pending(f"{step}/{fact.operation or fact.id}", attempt_generation(attempt), due)
        case DeadlineSet():
            return Pending(fact.name, fact.generation, fact.due)
        case RetryPlanned():
            return Pending(f"{fact.step}/{fact.operation}", retry_generation(fact.attempt), fact.due)
        case InputKept(until=until) if until is not None:
            return Pending(expiry_name(fact.input.id), 1, until)
        case _:
            return None


def cleared_by(fact: Fact) -> list[str]:
    """The names of the deadlines that are over with a fact."""
    names = [expiry_name(fact.input.id)] if isinstance(fact, Receipt) and fact.kept else []
    match fact:
        case AttemptEnded():
            names.append(f"{fact.step}/{fact.operation}")
        case DeadlineReached() | DeadlineCancelled():
            names.append(fact.name)
        case InputExpired():
            names.append(expiry_name(fact.expired))
        case _:
            pass
    return names


ANSWERED = frozenset(type_ for type_, cls in FACTS.items() if issubclass(cls, AttemptEnded))
"""The receipts that clear the deadline of their run."""


def command_deadline(metadata: Json, id_: str) -> Pending | None:
    """The deadline that a command sets, from its metadata and its id alone: an index reads every one of them."""
    if not metadata.get("due"):
        return None
    operation, due = metadata.get("operation") or id_, datetime.fromisoformat(metadata["due"])
    return Pending(f"{metadata['step']}/{operation}", attempt_generation(metadata["attempt"]), due)


def run_deadline(raw: Json) -> str:
    """The deadline that an answer's receipt clears, from its JSON alone: an index reads every one of them."""
    return f"{raw['step']}/{raw['operation']}"
