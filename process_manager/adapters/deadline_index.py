"""The index of pending deadlines in a SQLite file of its own, or in memory. A cache: it may be deleted at any time."""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from process_manager.adapters.sqlite.errors import translated
from process_manager.adapters.sqlite.wal import switch_to_wal
from process_manager.ports import DeadlineChange, PendingDeadline

_SCHEMA = """
create table if not exists deadlines (
    instance text not null, name text not null, generation integer not null, due integer not null,
    correlation text not null, cause text not null, at integer not null, primary key (instance, name)
) without rowid;
create index if not exists deadlines_by_due on deadlines (due);
create table if not exists followed (one integer primary key check (one = 1), what text, position integer not null, time integer);
insert or ignore into followed values (1, null, -1, null);
"""
_SET = """
insert into deadlines (instance, name, generation, due, correlation, cause, at) values (?, ?, ?, ?, ?, ?, ?)
on conflict (instance, name) do update set generation = excluded.generation, due = excluded.due,
    correlation = excluded.correlation, cause = excluded.cause, at = excluded.at where excluded.at > at
"""
_CLEAR = "delete from deadlines where instance = ? and name = ? and at <= ?"
_MOVE = "update followed set position = max(position, ?), time = max(coalesce(time, ?), coalesce(?, time))"
_DUE = "select instance, name, generation, due, correlation, cause from deadlines where due <= ? order by due limit ?"

PATIENCE = 5.0  # seconds that another process may keep the file busy

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class SqliteDeadlineIndex:
    """A `DeadlineIndex` in the file `path`, or in memory without one.

    A change of a lower position than the row's never undoes it, so that processes that share a file may be at different places of the log.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = str(path or ":memory:")
        if path is not None:
            with suppress(OSError):  # what cannot be created, SQLite says better
                path.touch(mode=0o600)  # it would let the world read it
        with translated(self._path):
            self._db = sqlite3.connect(self._path, timeout=PATIENCE, isolation_level=None, check_same_thread=False)
            switch_to_wal(self._db, PATIENCE)
            self._db.execute("pragma synchronous = normal")
            self._db.executescript(_SCHEMA)

    @property
    def position(self) -> int:
        return int(self._db.execute("select position from followed").fetchone()[0])

    @property
    def time(self) -> datetime | None:
        micros = self._db.execute("select time from followed").fetchone()[0]
        return None if micros is None else _datetime(micros)

    def begin(self, followed: str, last: int) -> None:
        what, position = self._db.execute("select what, position from followed").fetchone()
        if what != followed or position > last:
            with self._transaction():
                self._db.execute("delete from deadlines")
                self._db.execute("update followed set what = ?, position = -1, time = null", (followed,))

    def apply(self, changes: Mapping[tuple[str, str], DeadlineChange], position: int, time: datetime | None = None) -> None:
        gone = [(*key, change.position) for key, change in changes.items() if change.pending is None]
        come = [
            (each.instance, each.name, each.generation, _micros(each.due), each.correlation, each.cause, change.position)
            for change in changes.values()
            if (each := change.pending) is not None
        ]
        micros = time and _micros(time)
        with self._transaction():
            self._db.executemany(_CLEAR, gone)
            self._db.executemany(_SET, come)
            self._db.execute(_MOVE, (position, micros, micros))

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with translated(self._path):
            self._db.execute("begin immediate")
            try:
                yield
                self._db.execute("commit")
            except BaseException:
                if self._db.in_transaction:  # a full disk has ended it already
                    self._db.execute("rollback")
                raise

    def due(self, until: datetime, limit: int) -> Sequence[PendingDeadline]:
        return [_pending(row) for row in self._db.execute(_DUE, (_micros(until), limit))]

    def pending(self) -> Iterator[PendingDeadline]:
        """All that is pending, earliest first; as many as there are, in bounded memory."""
        return map(_pending, self._db.execute(_DUE, (_micros(datetime.max.replace(tzinfo=UTC)), -1)))

    def next_due(self) -> datetime | None:
        micros = self._db.execute("select min(due) from deadlines").fetchone()[0]
        return None if micros is None else _datetime(micros)

    def count(self) -> int:
        return int(self._db.execute("select count(*) from deadlines").fetchone()[0])

    def close(self) -> None:
        self._db.close()


def _pending(row: tuple[Any, ...]) -> PendingDeadline:
    instance, name, generation, due, *rest = row
    return PendingDeadline(instance, name, generation, _datetime(due), *rest)


def _micros(when: datetime) -> int:
    return (when - _EPOCH) // timedelta(microseconds=1)


def _datetime(micros: int) -> datetime:
    return _EPOCH + timedelta(microseconds=micros)
