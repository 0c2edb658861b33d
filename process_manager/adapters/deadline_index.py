"""The index of pending deadlines in a SQLite file of its own, or in memory. A cache: it may be deleted at any time."""

import sqlite3
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from process_manager.ports import PendingDeadline

_SCHEMA = """
create table if not exists pending (
    instance text not null, name text not null, generation integer not null, due integer not null,
    correlation text not null, cause text not null, primary key (instance, name)
) without rowid;
create index if not exists pending_by_due on pending (due);
create table if not exists followed (one integer primary key check (one = 1), position integer not null, time integer);
insert or ignore into followed values (1, -1, null);
"""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SET = "insert or replace into pending (instance, name, generation, due, correlation, cause) values (?, ?, ?, ?, ?, ?)"
_DUE = "select instance, name, generation, due, correlation, cause from pending where due <= ? order by due limit ?"


class SqliteDeadlineIndex:
    """`path` names the file; without one the index lives in memory."""

    def __init__(self, path: Path | None = None) -> None:
        self._db = sqlite3.connect(path or ":memory:", isolation_level=None, check_same_thread=False)
        self._db.execute("pragma journal_mode = wal")
        self._db.execute("pragma synchronous = normal")
        self._db.execute("pragma busy_timeout = 5000")
        self._db.executescript(_SCHEMA)

    @property
    def position(self) -> int:
        return int(self._db.execute("select position from followed").fetchone()[0])

    @property
    def time(self) -> datetime | None:
        micros = self._db.execute("select time from followed").fetchone()[0]
        return None if micros is None else _datetime(micros)

    def apply(self, changes: Mapping[tuple[str, str], PendingDeadline | None], position: int, time: datetime | None = None) -> None:
        gone = [key for key, pending in changes.items() if pending is None]
        come = [pending._replace(due=_micros(pending.due)) for pending in changes.values() if pending is not None]  # type: ignore[arg-type]
        self._db.execute("begin immediate")
        try:
            self._db.executemany("delete from pending where instance = ? and name = ?", gone)
            self._db.executemany(_SET, come)
            self._db.execute(
                "update followed set position = max(position, ?), time = coalesce(?, time)", (position, time and _micros(time))
            )
            self._db.execute("commit")
        except BaseException:
            self._db.execute("rollback")
            raise

    def due(self, until: datetime, limit: int) -> Sequence[PendingDeadline]:
        rows = self._db.execute(_DUE, (_micros(until), limit))
        return [PendingDeadline(instance, name, generation, _datetime(due), *rest) for instance, name, generation, due, *rest in rows]

    def next_due(self) -> datetime | None:
        micros = self._db.execute("select min(due) from pending").fetchone()[0]
        return None if micros is None else _datetime(micros)

    def count(self) -> int:
        return int(self._db.execute("select count(*) from pending").fetchone()[0])

    def forget(self) -> None:
        self._db.executescript("begin; delete from pending; update followed set position = -1, time = null; commit;")

    def close(self) -> None:
        self._db.close()


def _micros(when: datetime) -> int:
    return (when - _EPOCH) // timedelta(microseconds=1)


def _datetime(micros: int) -> datetime:
    return _EPOCH + timedelta(microseconds=micros)
