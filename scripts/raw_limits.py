"""What the machine and the server give without us: the raw limits that `scripts/bench` holds its figures beside."""

import sqlite3
import time
from contextlib import closing
from itertools import islice
from pathlib import Path
from uuid import uuid4

from process_manager.core.records import NewRecord
from process_manager.ports import Block, StreamState

BATCH = 512  # appends in one transaction
WINDOW = 128  # unanswered appends


def raw_limit(folder: Path, source: Path, units: int) -> float:
    """Seconds to insert the rows of a finished run, which were `units` appends, into empty tables of the same shape.

    As in the run, `BATCH` appends are one transaction.
    """
    rows_of = sqlite3.connect(source)
    tables = ("streams", "messages")
    schema = [sql for sql, table in rows_of.execute("select sql, tbl_name from sqlite_master where sql is not null") if table in tables]
    prepared = {table: rows_of.execute(f"select * from {table}").fetchall() for table in tables}  # noqa: S608  our own names
    rows_of.close()
    target = sqlite3.connect(folder / "raw.db", isolation_level=None)
    target.execute("pragma journal_mode = wal")
    target.execute("pragma synchronous = full")
    for sql in schema:
        target.execute(sql)
    transactions = -(-units // BATCH)
    start = time.perf_counter()
    for number in range(transactions):
        target.execute("begin immediate")
        for table, rows in prepared.items():
            part = rows[number * len(rows) // transactions : (number + 1) * len(rows) // transactions]
            if part:
                target.executemany(f"insert into {table} values ({', '.join('?' * len(part[0]))})", part)  # noqa: S608  our own names
        target.execute("commit")
    seconds = time.perf_counter() - start
    target.close()
    return seconds


def raw_appends(url: str, count: int) -> float:
    """Appends a second of two records of 350 bytes, each to a stream of its own, as messages of one BatchAppend call."""
    from process_manager.adapters.esdb.address import read_server  # noqa: PLC0415  the esdb extra may be absent
    from process_manager.adapters.esdb.client import connect  # noqa: PLC0415
    from process_manager.adapters.esdb.records import append_request  # noqa: PLC0415

    def block(number: int) -> Block:
        records = [NewRecord(str(uuid4()), "bench.raw", b'{"a":"%s"}' % (b"x" * 200), b'{"b":"%s"}' % (b"x" * 130)) for _ in range(2)]
        return Block(f"raw-{uuid4().hex}-{number}", records, StreamState.NO_STREAM)

    prepared = [append_request(block(number), str(uuid4())) for number in range(count)]
    waiting = iter(prepared)
    start = time.perf_counter()
    with closing(connect(read_server(url), "bench")) as client:
        call = client.batch_append()
        for request in islice(waiting, WINDOW):
            call.send(request)
        for answer in islice(call, count):
            if not answer.HasField("success"):
                raise SystemExit(f"a raw append was refused: {answer.error}")
            for request in islice(waiting, 1):
                call.send(request)
        return count / (time.perf_counter() - start)
