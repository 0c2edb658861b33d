"""Recorded turns judged again by another definition, one by one. Pure: nothing is written, nothing is sent.

The state before a turn is the fold of the facts recorded before it, whatever the candidate would have made of them; the input is the
recorded one, at its recorded `now`. So one difference does not drag all later ones behind it.
"""

from collections.abc import Iterable, Iterator
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
"""The differences of a turn are told in this order of their kinds: the later ones mostly follow from the earlier ones."""

Pair = tuple[Consequence | None, Consequence | None]
"""What differs, as it was recorded and as the candidate has it."""


TAKEN = "taken"
"""Told in place of a suspension that the other side does not have."""

RENAMED = ", asked as "
"""Stands between an answer of the candidate and the question that it asks in place of the recorded one."""


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

    @property
    def name_only(self) -> bool:
        """Whether another question is asked, and answered alike."""
        return self.kind == "decision" and self.candidate.startswith(self.recorded + RENAMED)


class Judge:
    """One instance's history, judged turn by turn."""

    def __init__(self, definition: Definition, key: str, limit: int, since: datetime | None = None) -> None:
        """`limit` is what an append holds, in bytes: a turn above it is suspended. Turns before `since` are taken as they are."""
        self.turns = 0
        """How many were judged."""
        self._definition = definition
        self._instance = Instance(definition.name, key)
        self._limit = limit
        self._since = since
        self._suspension: Difference | None = None  # which the candidate would not have, until an operator resolved it

    def differences(self, recorded: Iterable[tuple[Fact, int]], untaken: Iterable[Input] = ()) -> Iterator[Difference]:
        """What differs, turn by turn. `untaken` are inputs, in the order of the log, that the recorded run did not take.

        A suspension that the candidate would not have counts as long as nobody has resolved it: what was retried is judged where it was.
        Raises MessageError for facts that cannot be read, or an input that only a newer version can.
        """
        waiting = list(untaken)
        for turn in turns(recorded):
            while waiting and turn.receipt is not None and waiting[0].position < turn.receipt.input.position:
                yield from self._untaken(waiting.pop(0))
            yield from self._recorded(turn)
        for each in waiting:
            yield from self._untaken(each)
        if self._suspension is not None:
            yield self._suspension

    def _recorded(self, turn: RecordedTurn) -> Iterator[Difference]:
        """What differs in a turn. Its recorded facts are in the state afterwards."""
        rest = turn.facts
        if turn.receipt is not None and (self._since is None or turn.receipt.now >= self._since):
            taken, now = turn.receipt.input, turn.receipt.now
            message, other = self._routed(taken)
            if other is not None:
                yield self._told(rest[0][1], now, taken, other._replace(value=self._instance.key), other)
            else:
                self.turns += 1
                decided = take(self._definition, self._instance, taken, now, message)
                block = [fact for fact, _ in rest if not isinstance(fact, facts.SnapshotTaken | facts.Foreign)]
                if decided.facts == block:  # then so is the state: most turns of most candidates end here
                    self._instance, rest = decided.instance, rest[len(block) :]
                else:
                    pairs = _differ(consequences(block), self._consequences(decided, taken))
                    yield from self._unresolved(self._told(rest[0][1], now, taken, *pair) for pair in pairs)
        self._fold(rest)
        if not self._instance.culprit:
            self._suspension = None

    def _unresolved(self, differences: Iterable[Difference]) -> Iterator[Difference]:
        """The differences without a suspension that was recorded only: it is held back."""
        for each in differences:
            if each.kind == "suspension" and each.candidate == TAKEN:
                self._suspension = self._suspension or each
            else:
                yield each

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

    def _untaken(self, taken: Input) -> Iterator[Difference]:
        """The differences that an input makes which the recorded run did not take; none where nothing but state follows from it."""
        message, _ = self._routed(taken)
        decided = take(self._definition, self._instance, taken, taken.time, message)
        if self._since is not None and taken.time < self._since:
            self._instance = decided.instance
            return
        loud = [each for each in consequences(decided.facts) if each.kind != "input" or each.value == STARTS]
        yield from (self._told(self._instance.revision, taken.time, taken, *pair) for pair in _differ([], loud))
        if not loud:
            self._instance = decided.instance

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
        nothing = TAKEN if about.kind == "suspension" else ""
        values = [each.value if each else nothing for each in (recorded, candidate)]
        return Difference(self._instance.stream, revision, now, taken.type, about.kind, about.subject, *values)


def _differ(recorded: list[Consequence], candidate: list[Consequence]) -> list[Pair]:
    """All that differs, causes first; none when both sides hold the same consequences, in any order.

    What a side lacks beside a suspension that it alone has, follows from that one.
    """
    pairs = _paired(_without(recorded, candidate), _without(candidate, recorded))
    suspended = [side for side in (0, 1) if any(pair[side] for pair in pairs if _kind(pair) == "suspension")]
    told = [pair for pair in pairs if _kind(pair) == "suspension" or all(pair[side] for side in suspended)]
    return sorted(told, key=lambda pair: ORDER.index(_kind(pair)))


def _kind(pair: Pair) -> Kind:
    one = pair[0] or pair[1]
    assert one is not None
    return one.kind


def _paired(lost: list[Consequence], new: list[Consequence]) -> list[Pair]:
    """Each consequence with what stands there for it on the other side."""
    pairs: list[Pair] = []
    for each in lost:
        other = next((one for one in new if (one.kind, one.subject) == (each.kind, each.subject)), None)
        new = [one for one in new if one is not other]
        pairs.append((each, other))
    return _asked_instead(pairs + [(None, each) for each in new])


def _asked_instead(pairs: list[Pair]) -> list[Pair]:
    """The same, with each question that is asked no more beside one that is new, where there are as many of both."""
    decisions = [pair for pair in pairs if _kind(pair) == "decision" and None in pair]
    gone, others = [one for one, _ in decisions if one], [other for _, other in decisions if other]
    if len(gone) != len(others):
        return pairs
    instead = [other._replace(value=f"{other.value}{RENAMED}{other.subject!r}") for other in others]
    return [*zip(gone, instead, strict=True), *(pair for pair in pairs if pair not in decisions)]


def _without(some: list[Consequence], others: list[Consequence]) -> list[Consequence]:
    """The first without the second, as multisets."""
    left, found = [each.compared for each in others], []
    for each in some:
        if each.compared in left:
            left.remove(each.compared)
        else:
            found.append(each)
    return found
