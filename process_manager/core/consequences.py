"""What others can observe of a turn: what its input meant, decisions, commands, deadlines. Without ids and reasons, so that two definitions
can be compared by it."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

import orjson

from process_manager.core import facts
from process_manager.core.facts import Fact

Kind = Literal["routing", "suspension", "input", "decision", "join", "ending", "command", "undo", "deadline"]


STARTS = "starts it"
NOBODY = "nobody"
"""Named in place of an instance where an input cannot be read or routed."""


class Consequence(NamedTuple):
    """One observable consequence: `kind` and `subject` name it, `value` is its text."""

    kind: Kind
    subject: str
    value: str

    @property
    def compared(self) -> tuple[str, str, str]:
        """What two consequences are compared by; the error of a suspension is left out."""
        return self.kind, self.subject, "" if self.kind == "suspension" else self.value


def consequences(turn: Iterable[Fact]) -> list[Consequence]:
    """The consequences of a turn's facts, in their order. Facts that differ only in their ids have equal consequences."""
    return [each for fact in turn for each in _READ.get(type(fact), _unread)(fact)]


def _unread(_: Fact) -> list[Consequence]:
    """A fact that nobody outside sees."""
    return []


def _input(word: str) -> Callable[[Any], list[Consequence]]:
    return lambda fact: [Consequence("input", fact.input.type, word)]


def _answer(word: str) -> Callable[[Any], list[Consequence]]:
    return lambda fact: [Consequence("input", fact.input.type, f"{fact.step} {word}")]


def _at(when: datetime) -> str:
    return when.astimezone(UTC).isoformat()


def _kept(fact: facts.InputKept) -> list[Consequence]:
    found = [Consequence("input", fact.input.type, "waits")]
    return found + ([Consequence("deadline", f"the wait of {fact.input.type}", _at(fact.until))] if fact.until else [])


def _name(fact: Any, what: str = "the answer of") -> str:
    """The deadline of a run is named by its operation too."""
    step, _, operation = fact.name.partition("/")
    return f"{what} {step}" if operation and step != "pm" else str(fact.name)


def _command(fact: facts.StepStarted) -> list[Consequence]:
    found = [Consequence("command", fact.type, orjson.dumps(orjson.loads(fact.data), option=orjson.OPT_SORT_KEYS).decode())]
    return found + ([Consequence("deadline", f"the answer of {fact.step}", _at(fact.due))] if fact.due else [])


def _ended(fact: facts.Ended) -> list[Consequence]:
    """The outcome of a completed life is what it came to; the other endings hold a reason."""
    return [Consequence("ending", "the end", f"completed: {fact.outcome}" if fact.status == "completed" else fact.status)]


_READ: dict[type[Fact], Callable[[Any], list[Consequence]]] = {
    facts.Started: _input(STARTS),
    facts.StepCompleted: _answer("is done"),
    facts.StepFailed: _answer("failed"),
    facts.StepOverdue: _answer("is overdue"),
    facts.EventTaken: _input("taken"),
    facts.DeadlineReached: _input("met"),
    facts.InputIgnored: _input("ignored"),
    facts.InputKept: _kept,
    facts.InputExpired: _input("expired"),
    facts.Suspended: lambda fact: [Consequence("suspension", fact.input.type, f"suspended: {fact.error}")],
    facts.OperatorActed: lambda fact: [Consequence("input", fact.input.type, fact.action)],
    facts.StepStarted: _command,
    facts.Decided: lambda fact: [Consequence("decision", fact.question, fact.answer)],
    facts.DeadlineSet: lambda fact: [Consequence("deadline", _name(fact), _at(fact.due))],
    facts.DeadlineCancelled: lambda fact: [Consequence("deadline", _name(fact, "the next attempt of"), "cancelled")],
    facts.JoinDecided: lambda fact: [Consequence("join", fact.join, "reached" if fact.reached else "out of reach")],
    facts.RetryPlanned: lambda fact: [Consequence("deadline", f"the next attempt of {fact.step}", _at(fact.due))],
    facts.CompensationStarted: lambda _: [Consequence("ending", "the end", "compensating")],
    facts.NothingToUndo: lambda fact: [Consequence("undo", fact.step, "nothing to undo")],
    facts.UndoSkipped: lambda fact: [Consequence("undo", fact.step, "skipped")],
    facts.CompensationFailed: lambda fact: [Consequence("ending", f"the undo of {fact.step}", "failed")],
    facts.Ended: _ended,
}
