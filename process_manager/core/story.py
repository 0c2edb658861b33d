"""What happened to an instance, told from its records alone: no definition and no user code is needed."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from process_manager.core import facts
from process_manager.core.block import read_fact
from process_manager.core.facts import Fact, Input
from process_manager.core.metadata import readable_time
from process_manager.core.records import Record
from process_manager.core.signals import DEADLINE_PASSED, DeadlinePassed
from process_manager.errors import MessageError

Kind = Literal["input", "decision", "join", "command", "deadline", "undo", "ending", "trouble", "unknown"]


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that happened. An `input` opens a turn, the lines up to the next one followed from it."""

    time: datetime  # of the turn
    kind: Kind
    text: str
    revision: int
    step: str = ""

    def __str__(self) -> str:
        return f"{self.time:%Y-%m-%d %H:%M:%S}  {'' if self.kind == 'input' else '  '}{self.text}"


def story(records: Iterable[Record]) -> list[Line]:
    """The lines, oldest first. A record that cannot be read becomes a line that says so; snapshots are left out."""
    return list(_lines(records))


def _lines(records: Iterable[Record]) -> Iterator[Line]:
    teller = Teller()
    for record in records:
        try:
            line = teller.line(read_fact(record), record.revision, readable_time(record))
        except MessageError as error:
            line = Line(readable_time(record), "unknown", f"{record.type}: {error}", record.revision)
        if line is not None:
            yield line


class Teller:
    """Tells the facts of one instance in their order; it remembers what operations and kept inputs are called."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}  # operation -> step and run, id of a kept input -> its type

    def line(self, fact: Fact, revision: int, time: datetime) -> Line | None:
        """The line of a fact; None for one that says nothing to people."""
        if isinstance(fact, facts.StepStarted):
            self._names[fact.operation or fact.id] = _run(fact)
        if isinstance(fact, facts.InputKept):
            self._names[fact.input.id] = self.called(fact.input)
        if type(fact) not in _TOLD:
            return None
        kind, tell = _TOLD[type(fact)]
        return Line(time, kind, tell(fact, self._names), revision, getattr(fact, "step", ""))

    def called(self, taken: Input) -> str:
        """An input as people call it."""
        return _called(taken, self._names)


def _called(taken: Input, names: dict[str, str]) -> str:
    if taken.type != DEADLINE_PASSED:
        return taken.type
    name, _, operation = DeadlinePassed.read(taken.data).name.partition("/")
    return f"the deadline of {names.get(operation, name)}" if operation else f"the deadline {name}"


def _run(fact: Any) -> str:
    return f"{fact.step} [{fact.run}]" if fact.run else str(fact.step)


def _at(when: datetime) -> str:
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def _started(fact: facts.Started, _: dict[str, str]) -> str:
    return f"{fact.input.type}: started" + (f", life {fact.life}" if fact.life > 1 else "")


def _completed(fact: facts.StepCompleted, _: dict[str, str]) -> str:
    guessed = "" if fact.matched_by == "causation" else " (it names no command, and only this one was open)"
    return f"{fact.input.type}: {_run(fact)} is done{guessed}"


def _failed(fact: facts.StepFailed, _: dict[str, str]) -> str:
    return f"{fact.input.type}: {_run(fact)} failed" + _retrying(fact)


def _overdue(fact: facts.StepOverdue, _: dict[str, str]) -> str:
    return f"{_run(fact)} is {fact.reason}" + _retrying(fact)


def _retrying(fact: facts.StepFailed | facts.StepOverdue) -> str:
    return f" (attempt {fact.attempt}), it is tried again" if fact.retrying else f" (attempt {fact.attempt})" if fact.attempt > 1 else ""


def _kept(fact: facts.InputKept, names: dict[str, str]) -> str:
    return f"{_called(fact.input, names)}: waits, {fact.reason}" + (f", until {_at(fact.until)}" if fact.until else "")


def _reached(fact: facts.DeadlineReached, names: dict[str, str]) -> str:
    step, _, operation = fact.name.partition("/")
    return f"the wait before {names.get(operation, step)} is tried again is over" if operation else f"deadline {step} passed"


def _deadline(fact: facts.DeadlineSet, names: dict[str, str]) -> str:
    name, _, operation = fact.name.partition("/")
    return f"deadline {f'of {names.get(operation, name)}' if operation in names else fact.name} set to {_at(fact.due)}"


def _cancelled(fact: facts.DeadlineCancelled, names: dict[str, str]) -> str:
    operation = fact.name.partition("/")[2]
    return f"{names[operation]} is not tried again" if operation in names else f"deadline {fact.name} cancelled"


def _command(fact: facts.StepStarted, names: dict[str, str]) -> str:
    text = f"{_run(fact)}: {fact.type}"
    if fact.undoes:
        text += f", undoes {names.get(fact.undoes, fact.undoes)}"
    if fact.attempt > 1:
        text += f", attempt {fact.attempt}"
    return text + (f", answer due {_at(fact.due)}" if fact.due else "")


def _join(fact: facts.JoinDecided, names: dict[str, str]) -> str:
    text = f"{fact.join}: {'reached' if fact.reached else 'can no longer be reached'}"
    return text + (f", no longer needed: {', '.join(names.get(each, each) for each in fact.outstanding)}" if fact.outstanding else "")


def _ended(fact: facts.Ended, _: dict[str, str]) -> str:
    return f"{fact.status}: {facts.outcome_told(fact.outcome, fact.left_undone)}"


_TOLD: dict[type[Fact], tuple[Kind, Callable[[Any, dict[str, str]], str]]] = {
    facts.Started: ("input", _started),
    facts.StepCompleted: ("input", _completed),
    facts.StepFailed: ("input", _failed),
    facts.StepOverdue: ("input", _overdue),
    facts.EventTaken: ("input", lambda fact, _: f"{fact.input.type}: taken"),
    facts.DeadlineReached: ("input", _reached),
    facts.InputIgnored: ("input", lambda fact, names: f"{_called(fact.input, names)}: ignored, {fact.reason}"),
    facts.InputKept: ("input", _kept),
    facts.InputExpired: ("input", lambda fact, names: f"{names.get(fact.expired, fact.expired)}: waited in vain"),
    facts.Suspended: ("trouble", lambda fact, names: f"{_called(fact.input, names)}: suspended, {fact.error}"),
    facts.OperatorActed: ("input", lambda fact, _: f"{fact.action} by {fact.actor}: {fact.reason}"),
    facts.StepStarted: ("command", _command),
    facts.Decided: ("decision", lambda fact, _: f"{fact.question.rstrip('?')}? {fact.answer}, because {fact.because}"),
    facts.DeadlineSet: ("deadline", _deadline),
    facts.DeadlineCancelled: ("deadline", _cancelled),
    facts.RetryPlanned: ("deadline", lambda fact, _: f"{_run(fact)}: attempt {fact.attempt} at {_at(fact.due)}"),
    facts.JoinDecided: ("join", _join),
    facts.CompensationStarted: ("undo", lambda fact, _: f"compensating: {fact.reason}"),
    facts.NothingToUndo: ("undo", lambda fact, _: f"{_run(fact)}: nothing to undo"),
    facts.CompensationFailed: ("trouble", lambda fact, _: f"compensation failed: {fact.reason}"),
    facts.UndoSkipped: ("undo", lambda fact, _: f"{_run(fact)} is not undone"),
    facts.Ended: ("ending", _ended),
}
