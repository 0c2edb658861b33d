"""A member of a consumer group on SQLite: one is active, the others stand by."""

import sqlite3
import time
from collections.abc import Sequence
from contextlib import suppress
from weakref import finalize

from process_manager.adapters.sqlite.database import Database
from process_manager.adapters.sqlite.groups import Group, hand_back
from process_manager.adapters.sqlite.lease import Lease, Watch
from process_manager.adapters.sqlite.reading import Scan
from process_manager.adapters.sqlite.tail import Tail
from process_manager.adapters.sqlite.window import Window
from process_manager.errors import GroupNotFound, LeaseLost, StoreError
from process_manager.ports import Delivery, Nack

POLL = 0.025
"""Seconds between two looks at the file for what other processes did."""


class SqliteConsumer:
    """See `Consumer`; made by `SqliteStore.join`."""

    renewals = 0

    def __init__(self, database: Database, tail: Tail, group: Group, member: str) -> None:
        self._database = database
        self._tail = tail
        self._group = group
        self._member = member
        self._length = group.settings.lease.total_seconds()
        self._watch = Watch(self._length)
        self._lease: Lease | None = None
        self._window: Window | None = None
        self._left = False
        self._stand_by()

    @property
    def active(self) -> bool:
        return self._lease is not None and not self._lease.lost

    def fetch(self, limit: int, timeout: float = 0.0) -> Sequence[Delivery]:
        until = time.monotonic() + timeout
        while True:
            window = self._window_here() or self._stand_by()
            if window and (found := window.fetch(limit)):
                return found
            if (left := until - time.monotonic()) <= 0:
                return []
            self._tail.pause(window.position if window else None, min(left, POLL))

    def ack(self, deliveries: Sequence[Delivery]) -> None:
        if (window := self._window_here()) and (known := window.known(deliveries)):
            window.settle(known)

    def nack(self, deliveries: Sequence[Delivery], action: Nack, reason: str = "") -> None:
        if (window := self._window_here()) and (known := window.known(deliveries)):
            match action:
                case Nack.RETRY:
                    window.retry(known, reason)
                case Nack.PARK:
                    window.park(known, reason)
                case Nack.SKIP:
                    window.settle(known)

    def check(self, connection: sqlite3.Connection) -> None:
        """Raise LeaseLost, inside somebody's transaction, unless this is the active member."""
        if self._lease is None or self._left:
            raise LeaseLost("this member is not the active one of its group")
        self._lease.check(connection)

    def leave(self) -> None:
        if self._left:
            return
        self._left = True
        if lease := self._lease:
            lease.end()
            with suppress(StoreError):  # whoever stands by takes over when the lease has run out
                self._hand_over(lease)
            self._tail.wake()

    def _hand_over(self, lease: Lease) -> None:
        with self._database.write(durable=False) as connection:
            lease.check(connection)
            hand_back(connection, self._group)
            connection.execute("UPDATE groups SET holder = NULL, lease = lease + 1 WHERE id = ?", (self._group.id,))

    def _window_here(self) -> Window | None:
        """The window of the active member, None for one that stands by."""
        if self._left:
            raise LeaseLost("this member has left its group: join it again")
        return self._window

    def _stand_by(self) -> Window | None:
        """Take over if nobody holds the lease, or its holder has fallen silent."""
        with self._database.read() as connection:
            sql = "SELECT lease, beat, holder FROM groups WHERE id = ?"
            row = connection.execute(sql, (self._group.id,)).fetchone()
        if row is None:
            raise GroupNotFound(f"there is no group {self._group.name!r}")
        lease, beat, holder = row
        if self._watch.silent(lease, beat) or holder is None:
            self._take_over(lease, beat)
        return self._window

    def _take_over(self, lease: int, beat: int) -> None:
        """Take the lease, unless somebody else was faster; what its last holder had in flight is delivered again."""
        sql = "UPDATE groups SET lease = lease + 1, holder = ? WHERE id = ? AND lease = ? AND beat = ?"
        with self._database.write(durable=False) as connection:
            if connection.execute(sql, (self._member, self._group.id, lease, beat)).rowcount != 1:
                return
            hand_back(connection, self._group)
            sql = "SELECT checkpoint, delivered FROM groups WHERE id = ?"
            checkpoint, delivered = connection.execute(sql, (self._group.id,)).fetchone()
        self._lease = Lease(self._database, self._group.id, lease + 1, self._length)
        finalize(self, self._lease.let_go).atexit = False  # a member that was dropped without leaving
        scan = Scan(self._database, self._tail, self._group.where, delivered)
        self._window = Window(self._database, self._group, self._lease, scan, checkpoint)
