"""Reading the log and its streams, a page at a time: no cursor stays open while somebody else's code runs."""

# ruff: noqa: S608  the SQL is put together from our own text; values are parameters

import sqlite3
from collections.abc import Iterator, Sequence
from itertools import islice

from process_manager.adapters.sqlite.database import Database
from process_manager.adapters.sqlite.filtering import Pick, condition, picker
from process_manager.adapters.sqlite.tail import Tail
from process_manager.core.records import Record
from process_manager.errors import StreamNotFound
from process_manager.ports import BEFORE_ALL, Filter

PAGE_RECORDS = 1_000
FIRST_PAGE = 125  # of a stream: most readers of a long one stop at its newest snapshot
PAGE_BYTES = 8 * 1024 * 1024
WINDOW = 20_000  # positions looked at by one statement, so that a rare match does not make it long

COLUMNS = "m.id, t.name, m.data, m.metadata, s.name, m.revision, m.position, m.created"
JOINED = "messages m CROSS JOIN streams s ON s.id = m.stream CROSS JOIN types t ON t.id = m.type"  # CROSS: in this order


def record_of(row: tuple[bytes, str, bytes, bytes, str, int, int, int]) -> Record:
    """A row of COLUMNS as a record, its id as text again."""
    text = row[0].hex()
    return Record(f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}", *row[1:])


def last_position(connection: sqlite3.Connection) -> int:
    (position,) = connection.execute("SELECT max(position) FROM messages").fetchone()
    return BEFORE_ALL if position is None else int(position)


def page(connection: sqlite3.Connection, sql: str, values: Sequence[object]) -> tuple[list[Record], bool]:
    """The records that a statement gives, cut where they grow large, and whether that happened."""
    records, size = list[Record](), 0
    for row in connection.execute(sql, values):
        if size > PAGE_BYTES:
            return records, True
        records.append(record_of(row))
        size += len(row[2]) + len(row[3])
    return records, False


class Scan:
    """The matching records after a position, from memory where they are there, else from the file."""

    def __init__(self, database: Database, tail: Tail, where: Filter, after: int) -> None:
        self._database = database
        self._tail = tail
        self._pick: Pick = picker(where)
        sql, self._values = condition(where)
        self._sql = f"SELECT {COLUMNS} FROM {JOINED} WHERE m.position > ? AND m.position <= ? AND {sql} ORDER BY m.position LIMIT ?"
        self.position = after  # everything up to here was looked at

    def next(self, limit: int) -> list[Record]:
        """At most `limit` records; none at the end of the log, and fewer than there are only where they are large."""
        found: list[Record] = []
        more = True
        while more and len(found) < limit:
            records, more = self._look(limit - len(found))
            found += records
        return found

    def _look(self, limit: int) -> tuple[list[Record], bool]:
        """Look at one more page, in memory or in the file. Returns its matching records, and whether to go on."""
        if seen := self._tail.after(self.position, limit + 256):
            found = self._pick(seen)[:limit]
            self.position = seen[-1].position if len(found) < limit else found[-1].position
            return found, True
        with self._database.read() as connection:
            last = last_position(connection)
            if last <= self.position:
                return [], False
            return self._read(connection, min(self.position + WINDOW, last), min(limit, PAGE_RECORDS))

    def _read(self, connection: sqlite3.Connection, last: int, limit: int) -> tuple[list[Record], bool]:
        found, cut = page(connection, self._sql, (self.position, last, *self._values, limit))
        self.position = found[-1].position if cut or len(found) == limit else last
        return found, not cut


def scan_backwards(database: Database, where: Filter, before: int | None) -> Iterator[Record]:
    """The matching records before a position, newest first."""
    condition_sql, values = condition(where)
    sql = f"SELECT {COLUMNS} FROM {JOINED} WHERE m.position < ? AND m.position >= ? AND {condition_sql} ORDER BY m.position DESC LIMIT ?"
    with database.read() as connection:
        end = last_position(connection) + 1
    end = end if before is None else min(before, end)
    while end > 0:
        start = max(end - WINDOW, 0)
        with database.read() as connection:
            found, cut = page(connection, sql, (end, start, *values, PAGE_RECORDS))
        yield from found
        end = found[-1].position if cut or len(found) == PAGE_RECORDS else start


def read_stream(database: Database, stream: str, start: int | None, limit: int | None, *, backwards: bool) -> Iterator[Record]:
    """The records of a stream from a revision on."""
    compare, order = ("<=", "DESC") if backwards else (">=", "ASC")
    sql = f"SELECT {COLUMNS} FROM {JOINED} WHERE m.stream = ? AND m.revision {compare} ? ORDER BY m.revision {order} LIMIT ?"
    revision = (2**63 - 1 if backwards else 0) if start is None else start
    with database.read() as connection:
        row = connection.execute("SELECT id FROM streams WHERE name = ?", (stream,)).fetchone()
    if row is None:
        raise StreamNotFound(stream)
    step = -1 if backwards else 1
    size = min(FIRST_PAGE, limit if limit is not None else FIRST_PAGE)
    return islice(_stream_pages(database, sql, row[0], revision, step, size), limit)


def _stream_pages(database: Database, sql: str, stream: int, revision: int, step: int, size: int) -> Iterator[Record]:
    more = size > 0
    while more:
        with database.read() as connection:
            found, cut = page(connection, sql, (stream, revision, size))
        yield from found
        more = cut or len(found) == size
        if more:
            revision = found[-1].revision + step
        size = min(size * 2, PAGE_RECORDS)
