"""Consumer groups in memory."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf

from process_manager.adapters.memory.state import State, matches
from process_manager.core.records import Record
from process_manager.errors import GroupNotFound, LeaseLost
from process_manager.ports import Delivery, Filter, GroupInfo, GroupSettings, Nack, Parked

LAG_COUNTED = 10_000
LATE = "not acknowledged within the message timeout"
POLL = 0.02  # seconds between two looks at the message timeouts, which have no other alarm


@dataclass
class Flight:
    """A delivery that is not acknowledged yet."""

    consumer: "MemoryConsumer"
    retries: int
    until: float


@dataclass
class Group:
    """Every matching record up to `cursor` is settled, parked, waiting to be delivered again, or out."""

    name: str
    where: Filter
    settings: GroupSettings
    checkpoint: int
    cursor: int
    settled: set[int] = field(default_factory=set)
    waiting: dict[int, int] = field(default_factory=dict)  # position -> retries
    out: dict[int, Flight] = field(default_factory=dict)
    parked: dict[int, Parked] = field(default_factory=dict)
    members: "list[MemoryConsumer]" = field(default_factory=list)

    def move_checkpoint(self) -> None:
        """The checkpoint stands just below the oldest record after it that is not settled; it never goes back."""
        unsettled = [at for at in (*self.waiting, *self.out) if at > self.checkpoint]
        self.checkpoint = min(unsettled) - 1 if unsettled else max(self.cursor, self.checkpoint)
        self.settled = {at for at in self.settled if at > self.checkpoint}

    def again(self, record: Record, reason: str) -> None:
        """Deliver once more, or park what was delivered too often."""
        retries = self.out[record.position].retries + 1
        if retries > self.settings.max_retries:
            self.park(record, reason)
        else:
            del self.out[record.position]
            self.waiting[record.position] = retries

    def park(self, record: Record, reason: str) -> None:
        del self.out[record.position]
        self.parked[record.position] = Parked(record, reason, time.time_ns() // 1000)

    def replay(self, ids: Sequence[str] | None) -> int:
        """Let parked records wait as if they were new."""
        chosen = [at for at, it in self.parked.items() if ids is None or it.record.id in ids]
        for position in chosen:
            del self.parked[position]
            self.waiting[position] = 0
        return len(chosen)

    def drop(self, ids: Sequence[str]) -> int:
        """Settle parked records."""
        chosen = [at for at, it in self.parked.items() if it.record.id in ids]
        for position in chosen:
            del self.parked[position]
        self.settled.update(chosen)
        self.move_checkpoint()
        return len(chosen)

    def info(self, state: State) -> GroupInfo:
        settled = self.settled | self.parked.keys()
        rest = state.log[self.checkpoint + 1 :]
        behind = [record for record in rest if matches(self.where, record) and record.position not in settled]
        active = [member.member for member in self.members if member.active]
        counts = (min(len(behind), LAG_COUNTED), len(self.out), len(self.parked), len(active))
        oldest = behind[0].created if behind else None
        return GroupInfo(self.name, self.where, self.settings, self.checkpoint, *counts, oldest, active)


class MemoryConsumer:
    """A member of a group in memory."""

    renewals = 0

    def __init__(self, state: State, group: Group, member: str) -> None:
        self.member = member
        self._state = state
        self._group = group
        self._left = False
        group.members.append(self)

    @property
    def active(self) -> bool:
        members = self._group.members
        return self in members and (not self._state.single_active or members[0] is self)

    def fetch(self, limit: int, timeout: float = 0.0) -> Sequence[Delivery]:
        until = time.monotonic() + timeout
        with self._state.locked():
            while True:
                self._check()
                found = self._take(limit) if self.active else []
                left = until - time.monotonic()
                if found or left <= 0:
                    return found
                self._state.changed.wait(min(left, POLL))

    def _check(self) -> None:
        self._state.check_open()
        if self._left:
            raise LeaseLost("this member has left its group: join it again")
        if self not in self._group.members:
            raise GroupNotFound(f"the group {self._group.name!r} was deleted")

    def _take(self, limit: int) -> list[Delivery]:
        group, log, now = self._group, self._state.log, time.monotonic()
        for position in [at for at, flight in group.out.items() if flight.until <= now]:
            group.again(log[position], LATE)
        again = [Delivery(log[at], group.waiting[at]) for at in sorted(group.waiting)[:limit]]
        found = again + self._first_deliveries(limit - len(again))
        until = now + (group.settings.message_timeout.total_seconds() or inf)
        for delivery in found:
            group.waiting.pop(delivery.record.position, None)
            group.out[delivery.record.position] = Flight(self, delivery.retries, until)
        group.move_checkpoint()
        return found

    def _first_deliveries(self, limit: int) -> list[Delivery]:
        group, found = self._group, list[Delivery]()
        while len(found) < limit and group.cursor + 1 < len(self._state.log):
            group.cursor += 1
            record = self._state.log[group.cursor]
            if matches(group.where, record):
                found.append(Delivery(record))
        return found

    def ack(self, deliveries: Sequence[Delivery]) -> None:
        self.nack(deliveries, Nack.SKIP)

    def nack(self, deliveries: Sequence[Delivery], action: Nack, reason: str = "") -> None:
        with self._state.locked():
            self._check()
            for record in self._mine(deliveries):
                match action:
                    case Nack.RETRY:
                        self._group.again(record, reason)
                    case Nack.PARK:
                        self._group.park(record, reason)
                    case Nack.SKIP:
                        del self._group.out[record.position]
                        self._group.settled.add(record.position)
            self._group.move_checkpoint()
            self._state.changed.notify_all()

    def _mine(self, deliveries: Sequence[Delivery]) -> list[Record]:
        """Those that are out with this member, each once, in order of position."""
        mine = {at for at, flight in self._group.out.items() if flight.consumer is self}
        return [self._state.log[at] for at in sorted(mine & {it.record.position for it in deliveries})]

    def leave(self) -> None:
        with self._state.changed:
            self._left = True
            if self in self._group.members:
                self._group.members.remove(self)
            for position in [at for at, flight in self._group.out.items() if flight.consumer is self]:
                self._group.waiting[position] = self._group.out.pop(position).retries + 1
            self._state.changed.notify_all()
