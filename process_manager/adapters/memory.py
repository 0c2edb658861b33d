"""The event store in memory: the reference that the others are compared with. It is gone when the process ends.

One lock guards everything, and everything is recomputed rather than remembered, so that it is easy to see that it is right.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from threading import Condition

from process_manager.adapters.appending import Verdict, block_size, check_blocks, first_revision, too_large, verdict
from process_manager.core.records import Record
from process_manager.errors import (
    GroupExists,
    GroupNotFound,
    LeaseLost,
    StoreError,
    StoreUnavailable,
    StreamNotFound,
    WrongExpectedVersion,
)
from process_manager.ports import (
    BEFORE_ALL,
    EVERYTHING,
    Appended,
    Block,
    Consumer,
    Delivery,
    Features,
    Filter,
    GroupInfo,
    GroupSettings,
    Nack,
    Parked,
)

LAG_COUNTED = 10_000


class MemoryStore:
    """An `EventStore` for tests and trials. With `single_active=False` its groups have competing consumers,
    as EventStoreDB's do; otherwise one is active and the others stand by, as on SQLite."""

    def __init__(self, *, single_active: bool = True) -> None:
        self.features = Features(durable=False, single_active=single_active, shared=False)
        self._log: list[Record] = []  # a record's position is its index
        self._streams: dict[str, list[Record]] = {}
        self._groups: dict[str, _Group] = {}
        self._changed = Condition()
        self._closed = False

    def append(self, block: Block) -> Appended:
        (answer,) = self.append_many([block])
        if isinstance(answer, StoreError):
            raise answer
        return answer

    def append_many(self, blocks: Sequence[Block], lease: Consumer | None = None) -> Sequence[Appended | StoreError]:
        check_blocks(blocks)
        with self._open():
            if lease is not None and not lease.active:
                raise LeaseLost("this member is not the active one of its group: join it again")
            answers = [self._append(block) for block in blocks]
            self._changed.notify_all()
            return answers

    def _append(self, block: Block) -> Appended | StoreError:
        stream = self._streams.get(block.stream, [])
        actual = stream[-1].revision if stream else None
        if refused := too_large(block, block_size(block)):
            return refused
        match verdict(block.expected, actual):
            case Verdict.WRITE:
                return self._write(block)
            case Verdict.COMPARE:
                first = first_revision(block.expected)
                stored = stream[first : first + len(block.records)]
                if [record.id for record in stored] == [record.id for record in block.records]:
                    return Appended(stored[-1].revision, stored[-1].position)
        return WrongExpectedVersion(block.stream, block.expected, actual)

    def _write(self, block: Block) -> Appended:
        stream = self._streams.setdefault(block.stream, [])
        now = time.time_ns() // 1000
        for new in block.records:
            record = Record(*new, block.stream, len(stream), len(self._log), now)
            stream.append(record)
            self._log.append(record)
        return Appended(len(stream) - 1, len(self._log) - 1)

    def read_stream(self, stream: str, *, start: int | None = None, backwards: bool = False, limit: int | None = None) -> Iterator[Record]:
        with self._open():
            records = list(self._streams.get(stream, []))
        if not records:
            raise StreamNotFound(stream)
        if backwards:
            records = records[: len(records) if start is None else start + 1][::-1]
        else:
            records = records[start or 0 :]
        yield from records[:limit]

    def read_all(
        self, *, after: int | None = None, backwards: bool = False, limit: int | None = None, where: Filter = EVERYTHING
    ) -> Iterator[Record]:
        with self._open():
            if backwards:
                records = self._log[: len(self._log) if after is None else max(after, 0)][::-1]
            else:
                records = self._log[0 if after is None else after + 1 :]
        yield from [record for record in records if _matches(where, record)][:limit]

    def subscribe(self, *, after: int = BEFORE_ALL, where: Filter = EVERYTHING) -> "MemorySubscription":
        return MemorySubscription(self, after, where)

    def last_position(self) -> int:
        with self._open():
            return len(self._log) - 1

    def wait(self, after: int, timeout: float) -> bool:
        with self._open():
            return self._changed.wait_for(lambda: len(self._log) - 1 > after, timeout)

    def create_group(self, name: str, *, where: Filter, after: int = BEFORE_ALL, settings: GroupSettings | None = None) -> None:
        with self._open():
            if name in self._groups:
                raise GroupExists(f"there is a group {name!r} already")
            self._groups[name] = _Group(name, where, settings or GroupSettings(), after, after)

    def delete_group(self, name: str) -> None:
        with self._open():
            self._group(name).members.clear()
            del self._groups[name]
            self._changed.notify_all()

    def groups(self) -> Sequence[GroupInfo]:
        with self._open():
            return [self._info(self._groups[name]) for name in sorted(self._groups)]

    def group(self, name: str) -> GroupInfo:
        with self._open():
            return self._info(self._group(name))

    def _info(self, group: "_Group") -> GroupInfo:
        settled = group.settled | group.parked.keys()
        rest = self._log[group.checkpoint + 1 :]
        lag = sum(_matches(group.where, record) and record.position not in settled for record in rest)
        active = min(len(group.members), 1) if self.features.single_active else len(group.members)
        return GroupInfo(
            group.name,
            group.where,
            group.settings,
            group.checkpoint,
            min(lag, LAG_COUNTED),
            len(group.out),
            len(group.parked),
            active,
        )

    def join(self, group: str, member: str) -> "MemoryConsumer":
        with self._open():
            return MemoryConsumer(self, self._group(group), member)

    def parked(self, group: str) -> Sequence[Parked]:
        with self._open():
            return sorted(self._group(group).parked.values(), key=lambda it: (it.parked_at, it.record.position))

    def replay_parked(self, group: str, ids: Sequence[str] | None = None) -> int:
        with self._open():
            found = self._group(group)
            chosen = [at for at, it in found.parked.items() if ids is None or it.record.id in ids]
            for position in chosen:
                del found.parked[position]
                found.waiting[position] = 0
            self._changed.notify_all()
            return len(chosen)

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _open(self) -> Condition:
        if self._closed:
            raise StoreUnavailable("this store was closed")
        return self._changed

    def _group(self, name: str) -> "_Group":
        if name not in self._groups:
            raise GroupNotFound(f"there is no group {name!r}")
        return self._groups[name]


@dataclass
class _Flight:
    """A delivery that is not acknowledged yet."""

    consumer: "MemoryConsumer"
    retries: int
    until: float


@dataclass
class _Group:
    """Every matching record up to `cursor` is settled, parked, waiting to be delivered again, or out."""

    name: str
    where: Filter
    settings: GroupSettings
    checkpoint: int
    cursor: int
    settled: set[int] = field(default_factory=set)
    waiting: dict[int, int] = field(default_factory=dict)  # position -> retries
    out: dict[int, _Flight] = field(default_factory=dict)
    parked: dict[int, Parked] = field(default_factory=dict)
    members: list["MemoryConsumer"] = field(default_factory=list)

    def move_checkpoint(self) -> None:
        """The checkpoint stands just below the oldest record after it that is not settled; it never goes back."""
        unsettled = [at for at in (*self.waiting, *self.out) if at > self.checkpoint]
        self.checkpoint = min(unsettled) - 1 if unsettled else max(self.cursor, self.checkpoint)
        self.settled = {at for at in self.settled if at > self.checkpoint}

    def again(self, record: Record, reason: str) -> None:
        """Deliver once more, or park what was delivered too often."""
        retries = self.out.pop(record.position).retries + 1
        if retries > self.settings.max_retries:
            self.park(record, reason)
        else:
            self.waiting[record.position] = retries

    def park(self, record: Record, reason: str) -> None:
        self.out.pop(record.position, None)
        self.parked[record.position] = Parked(record, reason, time.time_ns() // 1000)


class MemoryConsumer:
    """A member of a group in memory."""

    def __init__(self, store: MemoryStore, group: _Group, member: str) -> None:
        self.member = member
        self._store = store
        self._group = group
        self._joined = True
        group.members.append(self)

    @property
    def active(self) -> bool:
        members = self._group.members
        return self in members and (not self._store.features.single_active or members[0] is self)

    def fetch(self, limit: int, timeout: float = 0.0) -> Sequence[Delivery]:
        until = time.monotonic() + timeout
        with self._store._open():
            while True:
                self._check()
                found = self._take(limit) if self.active else []
                left = until - time.monotonic()
                if found or left <= 0:
                    return found
                self._store._changed.wait(min(left, 0.02))  # short: message timeouts have no other alarm

    def _check(self) -> None:
        self._store._open()
        if self in self._group.members:
            return
        if self._joined and self._store._groups.get(self._group.name) is not self._group:
            raise GroupNotFound(f"the group {self._group.name!r} was deleted")
        raise LeaseLost("this member has left its group: join it again")

    def _take(self, limit: int) -> list[Delivery]:
        group, log = self._group, self._store._log
        now = time.monotonic()
        for position in [at for at, flight in group.out.items() if flight.until <= now]:
            group.again(log[position], "not acknowledged in time")
        again = [Delivery(log[at], group.waiting[at]) for at in sorted(group.waiting)[:limit]]
        found = again + self._first_deliveries(limit - len(again))
        span = group.settings.message_timeout.total_seconds()
        for delivery in found:
            group.waiting.pop(delivery.record.position, None)
            group.out[delivery.record.position] = _Flight(self, delivery.retries, now + span if span else float("inf"))
        group.move_checkpoint()
        return found

    def _first_deliveries(self, limit: int) -> list[Delivery]:
        group, found = self._group, list[Delivery]()
        while len(found) < limit and group.cursor + 1 < len(self._store._log):
            group.cursor += 1
            record = self._store._log[group.cursor]
            if _matches(group.where, record):
                found.append(Delivery(record))
        return found

    def ack(self, deliveries: Sequence[Delivery]) -> None:
        with self._store._open():
            self._check()
            for record in self._mine(deliveries):
                del self._group.out[record.position]
                self._group.settled.add(record.position)
            self._group.move_checkpoint()

    def nack(self, deliveries: Sequence[Delivery], action: Nack, reason: str = "") -> None:
        if action is Nack.SKIP:
            return self.ack(deliveries)
        with self._store._open():
            self._check()
            for record in self._mine(deliveries):
                if action is Nack.PARK:
                    self._group.park(record, reason)
                else:
                    self._group.again(record, reason)
            self._group.move_checkpoint()
            self._store._changed.notify_all()

    def _mine(self, deliveries: Sequence[Delivery]) -> list[Record]:
        out = self._group.out
        return [it.record for it in deliveries if it.record.position in out and out[it.record.position].consumer is self]

    def leave(self) -> None:
        with self._store._changed:
            if self not in self._group.members:
                return
            self._joined = False
            self._group.members.remove(self)
            for position in [at for at, flight in self._group.out.items() if flight.consumer is self]:
                self._group.waiting[position] = self._group.out.pop(position).retries + 1
            self._store._changed.notify_all()


class MemorySubscription:
    """A catch-up subscription in memory."""

    def __init__(self, store: MemoryStore, after: int, where: Filter) -> None:
        self._store = store
        self._where = where
        self.position = after
        self._closed = False

    def next_batch(self, limit: int, timeout: float = 0.0) -> Sequence[Record]:
        until = time.monotonic() + timeout
        while not self._closed:
            if found := self._look(limit):
                return found
            if not self._store.wait(self.position, until - time.monotonic()):
                break
        return []

    def _look(self, limit: int) -> list[Record]:
        found: list[Record] = []
        with self._store._open():
            while len(found) < limit and self.position + 1 < len(self._store._log):
                self.position += 1
                if _matches(self._where, record := self._store._log[self.position]):
                    found.append(record)
        return found

    def close(self) -> None:
        self._closed = True


def _matches(where: Filter, record: Record) -> bool:
    return where.matches(record.type, record.stream)
