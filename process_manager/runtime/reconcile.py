"""A pass over the log that offers what the consumer group has been through to the processes once more.

Delivery is at least once at best, and servers have skipped records. What was taken has its receipt and stays as it is, so a pass may be
made at any time, beside any number of workers; what has none is taken now, and told.
"""

import logging
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Protocol

import orjson

from process_manager.core.definition import Definition
from process_manager.core.records import Record
from process_manager.errors import GroupNotFound, StoreError, StoreFull, StoreUnavailable
from process_manager.ports import BEFORE_ALL, Clock, Delivery, EventStore, Filter, Nack
from process_manager.runtime.counters import Counters
from process_manager.runtime.groups import Share, followed
from process_manager.runtime.instances import Instances
from process_manager.runtime.notes import read_notes
from process_manager.runtime.router import Router
from process_manager.runtime.swept import note_swept, swept
from process_manager.runtime.turns import TurnRunner
from process_manager.runtime.work import Work

log = logging.getLogger(__name__)

BATCH = 64
"""Records offered at once: a sweep must not hold up what is delivered."""

EVERY = 600.0
"""Seconds between two sweeps of a worker."""

HURRY = 1.0
"""The same of a worker that has nothing else to wait for."""

FAR = 1_000_000
"""By how much the position has to have grown for the log to say that a pass found nothing there, so that none looks there again."""

TOLD = 1_000
"""Missed records that are named; the others are counted."""


@dataclass
class Found:
    """What a pass has found so far."""

    since: int
    until: int
    position: int = -1  # of the newest record that was offered
    offered: int = 0
    parked: int = 0  # left alone, as they are parked, or were
    missed: int = 0  # had no receipt and were taken now
    named: list[Record] = field(default_factory=list)  # the first of them
    unread: list[tuple[Record, str]] = field(default_factory=list)  # could not be taken, and why


def dropped_in(group: str) -> str:
    """The stream that says which parked records of a group an operator has let go of."""
    return f"pm.dropped-{group}"


def set_aside(store: EventStore, group: str) -> set[str]:
    """Ids of what is parked in a group, or was until an operator let go of it."""
    dropped = {str(orjson.loads(record.data)["id"]) for record in read_notes(store, dropped_in(group))}
    return dropped | {parked.record.id for parked in store.parked(group)}


class Pass(TurnRunner):
    """Offers the records of the log after `since`, or, without it, each from where on the app takes its type, but none up to `after`.

    It ends where the group of the app's processes has got to: what stands behind that is under way to a worker, and not missed.
    Raises GroupNotFound.
    """

    guesses = False  # most of what it offers was taken
    waits = False
    again = EVERY

    def __init__(
        self, store: EventStore, definitions: Mapping[str, Definition], share: Share, clock: Clock, *,
        since: int | None = None, after: int = BEFORE_ALL, types: Collection[str] | None = None, instances: Instances | None = None,
    ) -> None:  # fmt: skip
        begins = followed(store, share) if since is None else dict.fromkeys(share.types, since)
        begins = {type_: max(begin, after) for type_, begin in begins.items() if type_ in (types or share.types)}
        self.found = Found(min(begins.values(), default=-1), store.group(share.group).checkpoint)
        self._parked = set_aside(store, share.group)
        consumer = _LogConsumer(self._offered(store, begins), self.found)
        router = Router(definitions, store)
        super().__init__(store, consumer, router, clock, Counters(), leased=False, instances=instances)

    def _offered(self, store: EventStore, begins: Mapping[str, int]) -> Iterator[Record]:
        after = self.found.since if self.found.since >= 0 else None
        for record in store.read_all(after=after, where=Filter(types=frozenset(begins))) if begins else ():
            if record.position > self.found.until:
                return
            if record.id in self._parked:
                self.found.parked += 1
            elif record.position > begins[record.type]:
                yield record

    def _count(self, work: Work) -> None:
        super()._count(work)
        for record in [delivery.record for turn, delivery in work.turns if turn.records]:
            self.found.missed += 1
            if len(self.found.named) < TOLD:
                self.found.named.append(record)
            log.warning("missed until now: %s %s", record.type, record.id, extra={"action": "missed", "stream": work.target.stream})


class _LogConsumer:
    """Stands where a runner has its group: hands records out once, and has nothing to acknowledge."""

    active = True
    renewals = 0

    def __init__(self, records: Iterator[Record], found: Found) -> None:
        self._records = records
        self._found = found

    def fetch(self, limit: int, timeout: float = 0.0) -> Sequence[Delivery]:  # noqa: ARG002  the port's signature
        deliveries = [Delivery(record) for record in islice(self._records, min(limit, BATCH))]
        self._found.offered += len(deliveries)
        if deliveries:
            self._found.position = deliveries[-1].record.position
        return deliveries

    def ack(self, deliveries: Sequence[Delivery]) -> None:
        """Nothing is in flight."""

    def nack(self, deliveries: Sequence[Delivery], action: Nack, reason: str = "") -> None:
        if action is Nack.PARK and len(self._found.unread) < TOLD:
            self._found.unread += [(each.record, reason) for each in deliveries]

    def leave(self) -> None:
        """There is no group."""


class LogPass(Protocol):
    """A pass over what a group has been through, a batch with each step, which returns how many records it looked at; 0 is the end."""

    @property
    def found(self) -> Found: ...

    @property
    def left(self) -> int: ...

    @property
    def waits(self) -> bool:
        """Whether it has come to its end, but what it has found is still to be dealt with."""

    @property
    def again(self) -> float:
        """Seconds from its end to the next pass."""

    def step(self) -> int: ...


class MakePass(Protocol):
    """Makes a pass that begins after a position."""

    def __call__(self, *, after: int) -> LogPass: ...


class Sweep:
    """A worker's passes over what its group has been through; one batch with each step.

    There is one at the start, one when memberships were renewed, and one now and then. Each begins where the last one ended, whichever
    worker made it, which the log says: up to there everything has its receipt or outcome, or is from before the app's start. A
    checkpoint does not say so much: servers may write one beyond what a group has delivered, where it has a filter or, before May 2026,
    is pinned (KurrentDB #5497), and begin there when they come back.
    """

    def __init__(
        self, store: EventStore, group: str, make: "MakePass", *,
        renewals: Callable[[], object] = lambda: None, monotonic: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        """`renewals` gives another value when memberships were renewed."""
        self._make = make
        self._store = store
        self._group = group
        self._renewals = renewals
        self._known = renewals()
        self._monotonic = monotonic
        self._next = monotonic()
        self._ended = -HURRY
        self._pass: LogPass | None = None
        self._doubtful = False  # a membership was renewed, and no pass has come to the checkpoint since
        self._looked = BEFORE_ALL  # up to where, by the passes since
        self._first = BEFORE_ALL if swept(store, group) is not None else store.group(group).checkpoint

    def step(self) -> int:
        """Offer a batch, if it is time. Returns how many records it held.

        Raises StoreUnavailable, StoreFull and GroupNotFound; the pass then begins anew. What else a store refuses is logged: the worker
        goes on without the pass.
        """
        if (renewals := self._renewals()) != self._known:
            self._known, self._doubtful, self._next, self._pass, self._looked = renewals, True, 0.0, None, BEFORE_ALL
        if self._pass is None and self._monotonic() < self._next:
            return 0
        try:
            self._pass = run = self._pass or self._make(after=self._begin())
            count = run.step()
            if not count and not run.waits:
                self._end(run)
        except (StoreUnavailable, StoreFull, GroupNotFound):
            self._pass = None
            raise
        except StoreError as error:
            log.error("nobody looks for what %s has missed: %s", self._group, error, extra={"action": "sweep_failed", "group": self._group})  # noqa: TRY400  the text says it
            self._pass, self._doubtful, self._next = None, False, self._monotonic() + EVERY
            return 0
        return count

    @property
    def covers_all(self) -> bool:
        """Whether all that a store that failed may have left out was looked at; otherwise the next steps do so."""
        if self._doubtful and self._looked < self._store.group(self._group).checkpoint:
            self._next = min(self._next, self._ended + HURRY)
            return False
        self._doubtful = False
        return True

    def _end(self, run: "LogPass") -> None:
        """What is left, as for a newer version to take, is left to other passes, which begin before it."""
        self._looked = run.found.until
        advance = self._looked - self._begin()
        if not run.left and advance > (0 if run.found.offered else FAR):
            note_swept(self._store, self._group, self._looked)
        self._ended = self._monotonic()
        self._next = self._ended + run.again
        self._pass = None

    def _begin(self) -> int:
        """Where the log says, and nothing else: after a change of the leader it may say less than before."""
        noted = swept(self._store, self._group)
        return self._first if noted is None else noted
