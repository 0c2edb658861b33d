"""The append: many blocks in one transaction, with as little Python for each record as can be."""

import json
import sqlite3
import time
from collections.abc import Callable, Sequence
from itertools import islice
from threading import Lock

from process_manager.adapters.appending import Verdict, block_size, check_blocks, first_revision, too_large, verdict
from process_manager.adapters.sqlite.database import Database
from process_manager.adapters.sqlite.reading import last_position
from process_manager.adapters.sqlite.tail import Tail
from process_manager.core.records import Record
from process_manager.errors import StoreError, WrongExpectedVersion
from process_manager.ports import BEFORE_ALL, Appended, Block

BEFORE_FIRST = -1  # the revision of a stream without records
REMEMBERED_STREAMS = 100_000

Check = Callable[[sqlite3.Connection], None]
"""What must hold inside the transaction; raises otherwise."""

_LOOK_UP = """SELECT s.name, s.id, (SELECT max(revision) FROM messages WHERE stream = s.id)
    FROM json_each(?) wanted CROSS JOIN streams s ON s.name = wanted.value"""
_REPEAT = "SELECT id, revision, position FROM messages WHERE stream = ? AND revision >= ? ORDER BY revision LIMIT ?"


class Appender:
    """Appends blocks, and remembers what it needs for the next ones: where streams stand, and the numbers of types.

    What it remembers is right as long as the newest position is its own: nobody appended in between.
    """

    def __init__(self, database: Database, tail: Tail) -> None:
        self._database = database
        self._tail = tail
        self._lock = Lock()  # held until the tail has what was committed, so that it grows in order
        self._forget()

    def _forget(self) -> None:
        self._position = BEFORE_ALL - 1  # no newest position is this one
        self._newest_stream = 0
        self._streams: dict[str, tuple[int, int]] = {}  # name -> its number and its last revision
        self._types: dict[str, int] = {}

    def append(self, blocks: Sequence[Block], check: Check | None = None) -> list[Appended | StoreError]:
        """Append what is not refused, in one transaction that is on disk on return."""
        check_blocks(blocks)
        with self._lock:
            try:
                with self._database.write(durable=True) as connection:
                    if check:
                        check(connection)
                    self._catch_up(connection)
                    batch = self._lay_out(connection, blocks)
                    batch.insert(connection)
            except BaseException:
                self._forget()
                raise
            self._position += len(batch.records)
            if batch.records:
                self._tail.extend(batch.records, batch.size)
            return batch.answers

    def _catch_up(self, connection: sqlite3.Connection) -> None:
        if (last := last_position(connection)) != self._position:
            self._forget()
            (newest,) = connection.execute("SELECT max(id) FROM streams").fetchone()
            self._position, self._newest_stream = last, newest or 0

    def _lay_out(self, connection: sqlite3.Connection, blocks: Sequence[Block]) -> "_Batch":
        self._look_up(connection, [block.stream for block in blocks])
        self._number_types(connection, {record.type for block in blocks for record in block.records})
        batch = _Batch(self._position + 1, self._types)
        for block in blocks:
            batch.answers.append(self._place(connection, batch, block))
        return batch

    def _look_up(self, connection: sqlite3.Connection, names: list[str]) -> None:
        """Make sure that these streams are remembered, if they exist."""
        if len(self._streams) > REMEMBERED_STREAMS:
            for oldest in list(islice(self._streams, REMEMBERED_STREAMS // 4)):
                del self._streams[oldest]
        if missing := [name for name in names if name not in self._streams]:
            for name, number, revision in connection.execute(_LOOK_UP, (json.dumps(missing),)).fetchall():
                self._streams[name] = (number, revision)

    def _number_types(self, connection: sqlite3.Connection, names: set[str]) -> None:
        for name in names - self._types.keys():
            connection.execute("INSERT INTO types (name) VALUES (?) ON CONFLICT DO NOTHING", (name,))
            (self._types[name],) = connection.execute("SELECT id FROM types WHERE name = ?", (name,)).fetchone()

    def _place(self, connection: sqlite3.Connection, batch: "_Batch", block: Block) -> Appended | StoreError:
        """Write a block, or say why not."""
        size = block_size(block)
        if refused := too_large(block, size):
            return refused
        number, actual = self._streams.get(block.stream) or (0, None)
        judged = verdict(block.expected, actual)
        if judged is Verdict.WRITE:
            if actual is None:
                self._newest_stream = number = self._newest_stream + 1
                batch.streams.append((number, block.stream))
            written = batch.write(block, number, BEFORE_FIRST if actual is None else actual)
            batch.size += size
            self._streams[block.stream] = (number, written.revision)
            return written
        if judged is Verdict.COMPARE and (repeated := _repeated(connection, number, block)):
            return repeated
        return WrongExpectedVersion(block.stream, block.expected, actual)


def _repeated(connection: sqlite3.Connection, stream: int, block: Block) -> Appended | None:
    """Where the block stands, if just these ids were stored where it belongs; contents are not compared."""
    rows = connection.execute(_REPEAT, (stream, first_revision(block.expected), len(block.records))).fetchall()
    if [row[0] for row in rows] != [_blob(record.id) for record in block.records]:
        return None
    return Appended(rows[-1][1], rows[-1][2])


def _blob(id_: str) -> bytes:
    return bytes.fromhex(id_.replace("-", ""))


class _Batch:
    """The rows of one transaction."""

    def __init__(self, position: int, types: dict[str, int]) -> None:
        self.answers: list[Appended | StoreError] = []
        self.records: list[Record] = []
        self.streams: list[tuple[int, str]] = []
        self.size = 0
        self._rows: list[tuple[int, int, int, bytes, int, bytes, bytes, int]] = []
        self._position = position
        self._types = types
        self._now = time.time_ns() // 1000

    def write(self, block: Block, number: int, revision: int) -> Appended:
        """Lay out a block behind a revision; the one loop that runs for every record, hence its plainness."""
        stream, position, types, now = block.stream, self._position, self._types, self._now
        keep, insert, new, blob = self.records.append, self._rows.append, tuple.__new__, bytes.fromhex
        for id_, type_, data, metadata in block.records:
            revision += 1
            keep(new(Record, (id_, type_, data, metadata, stream, revision, position, now)))
            insert((position, number, revision, blob(id_.replace("-", "")), types[type_], data, metadata, now))
            position += 1
        self._position = position
        return Appended(revision, position - 1)

    def insert(self, connection: sqlite3.Connection) -> None:
        """Hand the rows to SQLite."""
        connection.executemany("INSERT INTO streams VALUES (?, ?)", self.streams)
        connection.executemany("INSERT INTO messages VALUES (?, ?, ?, ?, ?, ?, ?, ?)", self._rows)
