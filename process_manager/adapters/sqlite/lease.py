"""The lease of a group: a number that only its holder may act under, and a counter that the holder keeps raising.

A standby takes over when the counter has not moved for the lease's length *on the standby's own clock*: no two
clocks are ever compared. A holder that was merely slow finds its number stale, in the same transaction as anything it does.
"""

import sqlite3
import time
from threading import Event, Thread

from process_manager.adapters.sqlite.database import Database
from process_manager.errors import GroupNotFound, LeaseLost, StoreError


class Lease:
    """A lease that was taken; `check` it inside every transaction that acts for the group."""

    def __init__(self, database: Database, group: int, number: int, length: float) -> None:
        self._database = database
        self._group = group
        self.number = number
        self.lost = False
        self._end = Event()
        self._thread = Thread(target=self._beat, args=(length / 3,), name=f"lease-{group}", daemon=True)
        self._thread.start()

    def _beat(self, pause: float) -> None:
        while not self.lost and not self._end.wait(pause):
            try:
                with self._database.write(durable=False) as connection:
                    self.raise_counter(connection)
            except LeaseLost:
                return
            except StoreError:
                continue  # busy or closed: the next beat may come through, and if none does a standby takes over

    def raise_counter(self, connection: sqlite3.Connection) -> None:
        """Show that the holder lives, or raise LeaseLost; this makes the transaction the holder's."""
        sql = "UPDATE groups SET beat = beat + 1 WHERE id = ? AND lease = ?"
        if connection.execute(sql, (self._group, self.number)).rowcount != 1:
            self._lose(connection)

    def check(self, connection: sqlite3.Connection) -> None:
        """Raise LeaseLost unless the number is still the group's."""
        if connection.execute("SELECT 1 FROM groups WHERE id = ? AND lease = ?", (self._group, self.number)).fetchone() is None:
            self._lose(connection)

    def _lose(self, connection: sqlite3.Connection) -> None:
        self.lost = True
        if connection.execute("SELECT 1 FROM groups WHERE id = ?", (self._group,)).fetchone() is None:
            raise GroupNotFound("the group was deleted")
        raise LeaseLost("another member has taken this group over: join it again")

    def let_go(self) -> None:
        """Stop beating, soon: the lease runs out by itself."""
        self.lost = True
        self._end.set()

    def end(self) -> None:
        """Stop beating."""
        self.let_go()
        self._thread.join()


class Watch:
    """What a standby has seen of the holder's counter, and since when it stands still."""

    def __init__(self, length: float) -> None:
        self._length = length
        self._seen: tuple[int, int] | None = None
        self._since = 0.0

    def silent(self, lease: int, beat: int) -> bool:
        """Whether the counter has stood still for the lease's length."""
        now = time.monotonic()
        if self._seen != (lease, beat):
            self._seen, self._since = (lease, beat), now
        return now - self._since >= self._length
