"""Recorded turns judged again by another definition, one by one. Pure: nothing is written, nothing is sent.

The state before a turn is the fold of the facts recorded before it, whatever the candidate would have made of them; the input is the
recorded one, at its recorded `now`. So one difference does not drag all later ones behind it.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from process_manager.core import facts
from process_manager.core.codec import decode
from process_manager.core.consequences import NOBODY, STARTS, Consequence, Kind, consequences
from process_manager.core.definition import Definition
from process_manager.core.facts import Fact, Input
from process_manager.core.fold import fold
from process_manager.core.history import RecordedTurn, turns
from process_manager.core.instance import Instance
from process_manager.core.messages import Event
from process_manager.core.turn import Turn, take
from process_manager.errors import MessageError, UndecodableMessage

ORDER: tuple[Kind, ...] = ("routing", "suspension", "input", "decision", "join", "ending", "command", "undo", "deadline")
"""Of several differences in a turn the one whose kind comes first here is told: the others mostly follow from it."""


class Difference(NamedTuple):
    """Where a candidate would differ; "" is nothing at all."""

    instance: str
    revision: int  # of the turn's receipt; of the last record before an input that the recorded run did not take
    time: datetime  # the turn's `now`
    input: str  # its type
    kind: Kind
    subject: str
    recorded: str
    candidate: str


class Judge:
    """One instance's history, judged turn by turn until the first difference."""

    def __init__(self, definition: Definition, key: str, limit: int, since: datetime | None = None) -> None:
        """`limit` is what an append holds, in bytes: a turn above it is suspended. Turns before `since` are taken as they are."""
        self.turns = 0
        """How many were judged."""
        self._definition = definition
        self._instance = Instance(definition.name, key)
        self._limit = limit
        self._since = since

    def first(self, recorded: Iterable[tuple[Fact, int]], untaken: Iterable[Input] = ()) -> Difference | None:
        """The first difference. `untaken` are inputs, in the order of the log, that the recorded run did not take.

        Raises MessageError for facts that cannot be read, or an input that only a newer version can.
        """
        waiting = list(untaken)
        for turn in turns(recorded):
            while waiting and turn.receipt is not None and waiting[0].position < turn.receipt.input.position:
                if difference := self._untaken(waiting.pop(0)):
                    return difference
            if difference := self._recorded(turn):
                return difference
        return next(filter(None, map(self._untaken, waiting)), None)

    def _recorded(self, turn: RecordedTurn) -> Difference | None:
        """The turn's difference; without one, its facts are in the state."""
        rest = turn.facts
        if turn.receipt is not None and (self._since is None or turn.receipt.now >= self._since):
            taken, now = turn.receipt.input, turn.receipt.now
            message, other = self._routed(taken)
            if other is not None:
                return self._told(rest[0][1], now, taken, other._replace(value=self._instance.key), other)
            self.turns += 1
            decided = take(self._definition, self._instance, taken, now, message)
            block = [fact for fact, _ in rest if not isinstance(fact, facts.SnapshotTaken | facts.Foreign)]
            if decided.facts == block:  # then so is the state: most turns of most candidates end here
                self._instance, rest = decided.instance, rest[len(block) :]
            elif differ := _differ(consequences(block), self._consequences(decided, taken)):
                return self._told(rest[0][1], now, taken, *differ)
        self._fold(rest)
        return None

    def _routed(self, taken: Input) -> tuple[Event | None, Consequence | None]:
        """The message, where the candidate reads it; and to whom else it would give it, or that it would set it aside."""
        handled, route = self._definition.handled.get(taken.type), self._definition.routes.get(taken.type)
        if handled is None:
            return None, None
        try:
            message = decode(handled.event, taken.version, taken.data)
            key = self._instance.key if route is None or route.by_correlation else route.key(message)
        except UndecodableMessage as error:
            return None, Consequence("routing", taken.type, f"{NOBODY}: {error}")
        return message, None if key == self._instance.key else Consequence("routing", taken.type, key)

    def _consequences(self, decided: Turn, taken: Input) -> list[Consequence]:
        size = sum(record.size for record in decided.records)
        if size > self._limit:
            return [Consequence("suspension", taken.type, f"suspended: the turn comes to {size:,} bytes")]
        return consequences(decided.facts)

    def _untaken(self, taken: Input) -> Difference | None:
        """The difference that an input makes which the recorded run did not take; None where nothing but state follows from it."""
        message, _ = self._routed(taken)
        decided = take(self._definition, self._instance, taken, taken.time, message)
        if self._since is not None and taken.time < self._since:
            self._instance = decided.instance
            return None
        loud = next((each for each in consequences(decided.facts) if each.kind != "input" or each.value == STARTS), None)
        if loud is not None:
            return self._told(self._instance.revision, taken.time, taken, None, loud)
        self._instance = decided.instance
        return None

    def _fold(self, recorded: list[tuple[Fact, int]]) -> None:
        try:
            fold(self._instance, recorded, self._definition.evolve)
        except MessageError:
            raise
        except Exception as error:  # a user's @applies method, or facts that contradict each other
            raise UndecodableMessage(self._instance.stream, f"its facts cannot be folded ({type(error).__name__}: {error})") from error

    def _told(self, revision: int, now: datetime, taken: Input, recorded: Consequence | None, candidate: Consequence | None) -> Difference:
        about = recorded or candidate
        assert about is not None
        nothing = "taken" if about.kind == "suspension" else ""
        values = [each.value if each else nothing for each in (recorded, candidate)]
        return Difference(self._instance.stream, revision, now, taken.type, about.kind, about.subject, *values)


def _differ(recorded: list[Consequence], candidate: list[Consequence]) -> tuple[Consequence | None, Consequence | None] | None:
    """The most important difference, as what it is on either side; None when both sides hold the same consequences, in any order."""
    lost, new = _without(recorded, candidate), _without(candidate, recorded)
    if not lost and not new:
        return None
    first = min((*lost, *new), key=lambda each: ORDER.index(each.kind))
    return _about(first, lost), _about(first, new)


def _about(one: Consequence, among: list[Consequence]) -> Consequence | None:
    """What stands there for it: where a question is not asked, the one that is asked instead."""
    same = [each for each in among if (each.kind, each.subject) == (one.kind, one.subject)]
    others = [each._replace(value=f"{each.subject}: {each.value}") for each in among if each.kind == one.kind == "decision"]
    return next(iter(same or others), None)


def _without(some: list[Consequence], others: list[Consequence]) -> list[Consequence]:
    """The first without the second, as multisets."""
    left, found = [each.compared for each in others], []
    for each in some:
        if each.compared in left:
            left.remove(each.compared)
        else:
            found.append(each)
    return found
