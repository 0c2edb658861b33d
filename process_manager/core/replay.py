"""An instance's history turn by turn: what came, what followed from it, and what it changed. Folding only: no reaction runs."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, NamedTuple

import orjson

from process_manager.core import facts
from process_manager.core.facts import Fact, Receipt
from process_manager.core.fold import Evolve, fold
from process_manager.core.history import RecordedTurn, turns
from process_manager.core.instance import Instance
from process_manager.core.messages import Json
from process_manager.core.story import Line, Teller
from process_manager.core.view import Changes, changes, view


class Replayed(NamedTuple):
    """A recorded turn, what is told of it, and what it changed in the state."""

    number: int  # from 1
    turn: RecordedTurn
    lines: list[Line]
    changes: Changes

    @property
    def time(self) -> datetime | None:
        """The turn's `now`."""
        return self.turn.receipt.now if self.turn.receipt else None


class Replay:
    """One instance, from its beginning to as far as its facts were given."""

    def __init__(self, process: str, key: str, evolve: Evolve | None = None) -> None:
        """`evolve` folds the definition's own state, where the definition is at hand."""
        self.instance = Instance(process, key)
        self._evolve = evolve
        self.teller = Teller()
        """Remembers the names of the operations so far."""
        self._number = 0
        self._view = view(self.instance)

    def take(self, recorded: Iterable[tuple[Fact, int]]) -> Iterator[Replayed]:
        """The turns of the next facts. Give whole blocks: where the facts end in the middle of one, its turn is told without the rest."""
        for turn in turns(recorded):
            fold(self.instance, turn.facts, self._evolve)
            before, self._view = self._view, view(self.instance)
            self._number += 1
            yield Replayed(self._number, turn, list(self._lines(turn)), changes(before, self._view))

    def _lines(self, turn: RecordedTurn) -> Iterator[Line]:
        if turn.receipt is not None:
            told = (self.teller.line(fact, revision, turn.receipt.now) for fact, revision in turn.facts)
            yield from (line for line in told if line is not None)


def settlement(replayed: Iterable[Replayed], command_id: str) -> Replayed | None:
    """The turn in which a command was answered, or given up for good or for another attempt."""
    operation = ""
    for each in replayed:
        for fact, _ in each.turn.facts:
            if isinstance(fact, facts.StepStarted) and fact.id == command_id:
                operation = fact.operation or fact.id
            elif operation and isinstance(fact, facts.AttemptEnded) and fact.operation == operation:
                return each
    return None


def as_json(replayed: Replayed) -> Json:
    """A replayed turn as data."""
    block = [fact for fact, _ in replayed.turn.facts]
    receipt = replayed.turn.receipt
    return {
        "turn": replayed.number,
        "revision": replayed.turn.facts[0][1],
        "last_revision": replayed.turn.facts[-1][1],
        "time": replayed.time,
        "input": _input(receipt) if receipt else None,
        "offered": [_input(fact) for fact in block if isinstance(fact, Receipt) and fact.kept],
        "reactions": [name for fact in block if isinstance(fact, Receipt) for name in fact.reactions],
        "decisions": [
            {"question": each.question, "answer": each.answer, "because": each.because} for each in block if isinstance(each, facts.Decided)
        ],
        "commands": [_command(each) for each in block if isinstance(each, facts.StepStarted)],
        "deadlines": [{"name": each.name, "due": getattr(each, "due", None)} for each in block if isinstance(each, _DEADLINES)],
        "story": [line.text for line in replayed.lines],
        "changes": replayed.changes,
    }


_DEADLINES = (facts.DeadlineSet, facts.DeadlineCancelled)


def _input(receipt: Receipt) -> Json:
    taken = receipt.input
    return {
        "id": taken.id, "type": taken.type, "stream": taken.stream, "position": taken.position, "time": taken.time,
        "data": orjson.loads(taken.data),
    }  # fmt: skip


def _command(fact: facts.StepStarted) -> dict[str, Any]:
    return {
        "id": fact.id, "type": fact.type, "step": fact.step, "run": fact.run, "attempt": fact.attempt, "due": fact.due,
        "undoes": fact.undoes or None, "data": orjson.loads(fact.data),
    }  # fmt: skip
