"""What the active member of a group has handed out, and what becomes of it.

Memory holds only first deliveries in flight and when each one's time is up. Everything else stands in the file, so that a successor
finds it: `delivered`, written *before* a record is handed out; acks above the checkpoint; redeliveries with their retries; what is parked.
None of this waits for the disk: it is safe from a kill, and after a power failure the file stands as it did a moment
earlier, which means redeliveries and nothing else.
"""

# ruff: noqa: S608  the SQL is put together from our own text; values are parameters

import math
import sqlite3
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, takewhile

from process_manager.adapters.sqlite.database import Database
from process_manager.adapters.sqlite.groups import Group
from process_manager.adapters.sqlite.lease import Lease
from process_manager.adapters.sqlite.reading import COLUMNS, JOINED, Scan, record_of
from process_manager.core.records import Record
from process_manager.ports import Delivery

LATE = "not acknowledged within the message timeout"

_WAITING = "SELECT lease, EXISTS (SELECT 1 FROM redeliveries WHERE grp = g.id AND NOT out) FROM groups g WHERE id = ?"
_REDELIVER = f"""SELECT {COLUMNS}, r.retries FROM redeliveries r CROSS JOIN {JOINED}
    WHERE r.grp = ? AND NOT r.out AND m.position = r.position ORDER BY r.position LIMIT ?"""
_AGAIN = """INSERT INTO redeliveries VALUES (?, ?, ?, 0)
    ON CONFLICT DO UPDATE SET retries = excluded.retries, out = 0"""


class Window:
    """The part of the log between a group's checkpoint and what was delivered, in the hands of the lease's holder."""

    def __init__(self, database: Database, group: Group, lease: Lease, scan: Scan, checkpoint: int) -> None:
        self._database = database
        self._group = group
        self._lease = lease
        self._scan = scan
        self._checkpoint = checkpoint
        self._first: dict[int, float] = {}  # position -> when its time is up, ascending
        self._again: dict[int, tuple[int, float]] = {}  # the same for redeliveries, after their retries

    @property
    def position(self) -> int:
        """Everything up to here was delivered or does not match."""
        return self._scan.position

    def fetch(self, limit: int) -> list[Delivery]:
        """What waits to be delivered again, then what comes next in the log."""
        if late := self._late(time.monotonic()):
            self.retry(late, LATE)
        found = self._redeliver(limit) if self._is_waiting() else []
        return found + [Delivery(record) for record in self._go_on(limit - len(found))]

    def _is_waiting(self) -> bool:
        with self._database.read() as connection:
            lease, waiting = connection.execute(_WAITING, (self._group.id,)).fetchone() or (None, False)
            if lease != self._lease.number:
                self._lease.check(connection)
        return bool(waiting)

    def _redeliver(self, limit: int) -> list[Delivery]:
        with self._acting() as connection:
            rows = connection.execute(_REDELIVER, (self._group.id, limit)).fetchall()
            found = [Delivery(record_of(row[:8]), row[8]) for row in rows]
            sql = "UPDATE redeliveries SET out = 1 WHERE grp = ? AND position = ?"
            connection.executemany(sql, self._keyed(it.record.position for it in found))
        until = self._until()
        self._again.update({it.record.position: (it.retries, until) for it in found})
        return found

    def _go_on(self, limit: int) -> list[Record]:
        before = self._scan.position
        try:
            found = self._scan.next(limit)
            if self._scan.position > before:
                with self._acting() as connection:
                    self._move_checkpoint(connection, (), found)
        except BaseException:
            self._scan.position = before
            raise
        self._first.update(dict.fromkeys([record.position for record in found], self._until()))
        return found

    def known(self, deliveries: Sequence[Delivery]) -> set[int]:
        """The positions of those that are in flight here."""
        positions = [it.record.position for it in deliveries]
        return {position for position in positions if position in self._first or position in self._again}

    def settle(self, positions: Collection[int]) -> None:
        """These are done."""
        with self._acting() as connection:
            self._end_redeliveries(connection, positions)
            checkpoint = self._move_checkpoint(connection, positions)
            above = [position for position in positions if position > checkpoint]
            connection.executemany("INSERT INTO settled VALUES (?, ?)", self._keyed(above))
        self._forget(positions)

    def park(self, positions: Collection[int], reason: str) -> None:
        """These are kept aside."""
        with self._acting() as connection:
            self._park(connection, positions, reason)
            self._move_checkpoint(connection, positions)
        self._forget(positions)

    def retry(self, positions: Collection[int], reason: str) -> None:
        """These are delivered once more, or kept aside when that was done too often."""
        retries = {position: self._again.get(position, (0,))[0] + 1 for position in positions}
        most = self._group.settings.max_retries
        with self._acting() as connection:
            rows = [(self._group.id, position, count) for position, count in retries.items() if count <= most]
            connection.executemany(_AGAIN, rows)
            self._park(connection, [position for position, count in retries.items() if count > most], reason)
            self._move_checkpoint(connection, positions)
        self._forget(positions)

    def _park(self, connection: sqlite3.Connection, positions: Collection[int], reason: str) -> None:
        self._end_redeliveries(connection, positions)
        now = time.time_ns() // 1000
        rows = [(*key, reason, now) for key in self._keyed(positions)]
        connection.executemany("INSERT INTO parked VALUES (?, ?, ?, ?)", rows)

    def _end_redeliveries(self, connection: sqlite3.Connection, positions: Collection[int]) -> None:
        rows = self._keyed([position for position in positions if position in self._again])
        connection.executemany("DELETE FROM redeliveries WHERE grp = ? AND position = ?", rows)

    def _move_checkpoint(self, connection: sqlite3.Connection, gone: Collection[int], new: Sequence[Record] = ()) -> int:
        """Write the checkpoint, just below the oldest record that is in flight or waits; it never goes back."""
        first = next((position for position in self._first if position not in gone), new[0].position if new else None)
        sql = "SELECT min(position) FROM redeliveries WHERE grp = ? AND position > ?"
        (again,) = connection.execute(sql, (self._group.id, self._checkpoint)).fetchone()
        oldest = min([position for position in (first, again) if position is not None], default=self.position + 1)
        checkpoint = max(self._checkpoint, oldest - 1)
        sql = "UPDATE groups SET checkpoint = ?, delivered = max(delivered, ?) WHERE id = ?"
        connection.execute(sql, (checkpoint, self.position, self._group.id))
        connection.execute("DELETE FROM settled WHERE grp = ? AND position <= ?", (self._group.id, checkpoint))
        return checkpoint

    @contextmanager
    def _acting(self) -> Iterator[sqlite3.Connection]:
        """A transaction of the lease's holder."""
        with self._database.write(durable=False) as connection:
            self._lease.raise_counter(connection)
            yield connection

    def _keyed(self, positions: Iterable[int]) -> list[tuple[int, int]]:
        return [(self._group.id, position) for position in positions]

    def _forget(self, positions: Collection[int]) -> None:
        for position in positions:
            self._first.pop(position, None)
            self._again.pop(position, None)

    def _until(self) -> float:
        span = self._group.settings.message_timeout.total_seconds()
        return time.monotonic() + span if span else math.inf

    def _late(self, now: float) -> list[int]:
        """Whose time is up; both are in the order in which they were handed out, so the first that is not ends the search."""
        first = takewhile(lambda it: it[1] <= now, self._first.items())
        again = takewhile(lambda it: it[1][1] <= now, self._again.items())
        return [position for position, _ in chain(first, again)]
