"""The flow that a log shows, from correlation and causation alone. The log is read once, into a temporary table on disk.

Messages with the same `$correlationId` are a case. A message without one belongs to the case of what it caused, else of what caused it,
else it begins a case of its own. Messages of a case are ordered by their own time, then by their position in the log.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from typing import Any, NamedTuple

from process_manager.core.flow import END, START, Flow, Follows, Node
from process_manager.core.messages import Json
from process_manager.core.metadata import read_metadata, time_of
from process_manager.core.records import Record
from process_manager.errors import UndecodableMessage
from process_manager.ports import EventStore

TABLES = """
CREATE TABLE messages (
    position INTEGER PRIMARY KEY, id TEXT NOT NULL, type TEXT NOT NULL, command INTEGER NOT NULL, time INTEGER NOT NULL,
    chosen INTEGER NOT NULL, correlation TEXT, cause TEXT);
CREATE TABLE effects (cause TEXT PRIMARY KEY, correlation TEXT NOT NULL) WITHOUT ROWID;
"""

OWN_CASE = """
CREATE INDEX by_id ON messages (id);
UPDATE messages SET correlation = (SELECT correlation FROM effects WHERE effects.cause = messages.id) WHERE correlation IS NULL;
UPDATE messages SET correlation = id WHERE correlation IS NULL AND (cause IS NULL OR cause NOT IN (SELECT id FROM messages));
"""

CASE_OF_CAUSE = """
UPDATE messages SET correlation = (SELECT c.correlation FROM messages c WHERE c.id = messages.cause)
WHERE correlation IS NULL AND cause IN (SELECT id FROM messages WHERE correlation IS NOT NULL)
"""

STEPS = f"""
UPDATE messages SET correlation = id WHERE correlation IS NULL;
CREATE TABLE steps AS
    SELECT coalesce(lag(type) OVER flow, '{START}') AS before, type AS after, time - lag(time) OVER flow AS span
    FROM messages WHERE chosen WINDOW flow AS (PARTITION BY correlation ORDER BY time, position);
INSERT INTO steps SELECT type, '{END}', NULL FROM (
    SELECT type, lead(type) OVER (PARTITION BY correlation ORDER BY time, position) AS next FROM messages WHERE chosen) WHERE next IS NULL;
CREATE INDEX by_span ON steps (before, after, span);
"""  # noqa: S608  our own words


class Chosen(NamedTuple):
    """Which messages are drawn: of one category of streams, of types that begin so, in a span of their own time."""

    category: str = ""
    type_prefix: str = ""
    since: datetime | None = None
    until: datetime | None = None

    def matches(self, record: Record, time: datetime) -> bool:
        return (
            record.type.startswith(self.type_prefix)
            and self.category in {"", record.stream.partition("-")[0]}
            and (self.since is None or time >= self.since)
            and (self.until is None or time < self.until)
        )


def discover(store: EventStore, chosen: Chosen) -> Flow:
    """The flow of the chosen messages. Records that only the library needs, and what has no readable metadata, are left out."""
    with closing(sqlite3.connect("")) as table:  # "": on disk as far as it is large, and gone afterwards
        table.executescript(TABLES)
        _fill(table, store, chosen)
        _join(table)
        cases = table.execute("SELECT count(DISTINCT correlation) FROM messages WHERE chosen").fetchone()[0]
        nodes = "SELECT type, count(*), max(command) FROM messages WHERE chosen GROUP BY type ORDER BY min(position)"
        return Flow(cases, [Node(type_, count, bool(command)) for type_, count, command in table.execute(nodes)], list(_follows(table)))


def _fill(table: sqlite3.Connection, store: EventStore, chosen: Chosen) -> None:
    effect = ("", "")
    for record in store.read_all():
        try:
            metadata = read_metadata(record.type, record.metadata)
            time = time_of(record, metadata)
        except UndecodableMessage:
            continue
        correlation, cause = metadata.get("$correlationId"), metadata.get("$causationId")
        if correlation and cause and (str(cause), str(correlation)) != effect:
            effect = str(cause), str(correlation)
            table.execute("INSERT OR IGNORE INTO effects VALUES (?, ?)", effect)
        if not (record.of_the_store or record.type.startswith("pm.")):
            table.execute("INSERT INTO messages VALUES (?, ?, ?, ?, ?, ?, ?, ?)", _row(record, metadata, time, chosen))


def _row(record: Record, metadata: Json, time: datetime, chosen: Chosen) -> tuple[Any, ...]:
    correlation, cause = metadata.get("$correlationId"), metadata.get("$causationId")
    return (
        record.position, record.id, record.type, "step" in metadata and "instance" in metadata, round(time.timestamp() * 1e6),
        chosen.matches(record, time), correlation and str(correlation), cause and str(cause),
    )  # fmt: skip


def _join(table: sqlite3.Connection) -> None:
    """Give every message its case, by following causes one step at a time until nothing changes any more."""
    table.executescript(OWN_CASE)
    while table.execute(CASE_OF_CAUSE).rowcount:
        pass
    table.executescript(STEPS)


def _follows(table: sqlite3.Connection) -> Iterator[Follows]:
    counted = table.execute("SELECT before, after, count(*) FROM steps GROUP BY before, after ORDER BY count(*) DESC, before, after")
    for before, after, count in counted.fetchall():
        yield Follows(before, after, count, *(_quantile(table, before, after, count, share) for share in (0.5, 0.9)))


def _quantile(table: sqlite3.Connection, before: str, after: str, count: int, share: float) -> float | None:
    """The time in seconds that this share of them does not exceed (0.5: the median)."""
    place = "SELECT span FROM steps WHERE before = ? AND after = ? ORDER BY span LIMIT 1 OFFSET ?"
    (span,) = table.execute(place, (before, after, max(0, -int(-count * share // 1) - 1))).fetchone()
    return None if span is None else span / 1e6
