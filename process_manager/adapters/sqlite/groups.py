"""Consumer groups as rows of the file. Their members are in `consumer`."""

# ruff: noqa: S608  the SQL is put together from our own text; values are parameters

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from process_manager.adapters.sqlite.database import Database
from process_manager.adapters.sqlite.filtering import condition
from process_manager.adapters.sqlite.reading import COLUMNS, JOINED, record_of
from process_manager.errors import GroupExists, GroupNotFound
from process_manager.ports import Filter, GroupInfo, GroupSettings, Parked

LAG_COUNTED = 10_000
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Group:
    """What a group is, apart from how far it has come."""

    id: int
    name: str
    where: Filter
    settings: GroupSettings


def create(database: Database, name: str, where: Filter, after: int, settings: GroupSettings) -> None:
    spans = _spans(settings)
    lists = (json.dumps(sorted(where.types)), json.dumps(where.type_prefixes), json.dumps(where.stream_prefixes))
    sql = """INSERT INTO groups (name, types, type_prefixes, stream_prefixes, message_timeout, max_retries, lease_length,
        checkpoint, delivered) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"""
    with database.write(durable=True) as connection:
        if connection.execute(sql, (name, *lists, *spans, after, after)).rowcount != 1:
            raise GroupExists(f"there is a group {name!r} already")


def update(database: Database, name: str, settings: GroupSettings) -> None:
    sql = "UPDATE groups SET message_timeout = ?, max_retries = ?, lease_length = ? WHERE name = ?"
    with database.write(durable=True) as connection:
        if connection.execute(sql, (*_spans(settings), name)).rowcount != 1:
            raise GroupNotFound(f"there is no group {name!r}")


def _spans(settings: GroupSettings) -> tuple[int, int, int]:
    return settings.message_timeout // _MICROSECOND, settings.max_retries, settings.lease // _MICROSECOND


def delete(database: Database, name: str) -> None:
    with database.write(durable=True) as connection:
        group = find(connection, name)
        for table in ("settled", "redeliveries", "parked"):
            connection.execute(f"DELETE FROM {table} WHERE grp = ?", (group.id,))
        connection.execute("DELETE FROM groups WHERE id = ?", (group.id,))


def find(connection: sqlite3.Connection, name: str) -> Group:
    """A group, or GroupNotFound."""
    sql = """SELECT id, types, type_prefixes, stream_prefixes, message_timeout, max_retries, lease_length
        FROM groups WHERE name = ?"""
    row = connection.execute(sql, (name,)).fetchone()
    if row is None:
        raise GroupNotFound(f"there is no group {name!r}")
    types, type_prefixes, stream_prefixes = (json.loads(text) for text in row[1:4])
    where = Filter(frozenset(types), tuple(type_prefixes), tuple(stream_prefixes))
    settings = GroupSettings(row[4] * _MICROSECOND, row[5], row[6] * _MICROSECOND)
    return Group(row[0], name, where, settings)


def names(connection: sqlite3.Connection) -> Sequence[str]:
    return [name for (name,) in connection.execute("SELECT name FROM groups ORDER BY name").fetchall()]


_SETTLED = """EXISTS (SELECT 1 FROM settled x WHERE x.grp = g.id AND x.position = m.position)
    OR EXISTS (SELECT 1 FROM parked x WHERE x.grp = g.id AND x.position = m.position)"""
_WAITING = "EXISTS (SELECT 1 FROM redeliveries x WHERE x.grp = g.id AND x.position = m.position)"
_LOG = "messages m CROSS JOIN streams s ON s.id = m.stream"
_FIRST_TIME_OUT = f"m.position > g.checkpoint AND m.position <= g.delivered AND NOT ({_SETTLED} OR {_WAITING})"


def info(connection: sqlite3.Connection, name: str) -> GroupInfo:
    """How far a group has come; one statement, so that its numbers fit each other."""
    group = find(connection, name)
    matches, values = condition(group.where)
    sql = f"""SELECT g.checkpoint,
        (SELECT count(*) FROM (SELECT 1 FROM {_LOG}
            WHERE m.position > g.checkpoint AND NOT ({_SETTLED}) AND {matches} LIMIT {LAG_COUNTED})),
        (SELECT count(*) FROM {_LOG} WHERE {_FIRST_TIME_OUT} AND {matches})
            + (SELECT count(*) FROM redeliveries WHERE grp = g.id AND out),
        (SELECT count(*) FROM parked WHERE grp = g.id), (g.holder IS NOT NULL),
        (SELECT m.created FROM {_LOG} WHERE m.position > g.checkpoint AND NOT ({_SETTLED}) AND {matches} ORDER BY m.position LIMIT 1),
        g.holder FROM groups g WHERE g.id = ?"""
    row = connection.execute(sql, (*values, *values, *values, group.id)).fetchone()
    checkpoint, lag, in_flight, parked, consumers, oldest, holder = row
    members = [] if holder is None else [holder]
    return GroupInfo(name, group.where, group.settings, checkpoint, lag, in_flight, parked, consumers, oldest, members)


def hand_back(connection: sqlite3.Connection, group: Group) -> None:
    """What is in flight waits to be delivered again, with `retries` one higher; nothing is parked by this."""
    connection.execute("UPDATE redeliveries SET retries = retries + 1, out = 0 WHERE grp = ? AND out", (group.id,))
    matches, values = condition(group.where)
    sql = f"""INSERT INTO redeliveries SELECT g.id, m.position, 1, 0 FROM groups g CROSS JOIN {_LOG}
        WHERE {matches} AND g.id = ? AND {_FIRST_TIME_OUT}"""
    connection.execute(sql, (*values, group.id))


def parked(connection: sqlite3.Connection, name: str) -> Sequence[Parked]:
    """What a group has set aside, oldest first."""
    sql = f"""SELECT {COLUMNS}, p.reason, p.parked_at FROM parked p CROSS JOIN {JOINED}
        WHERE p.grp = ? AND m.position = p.position ORDER BY p.parked_at, p.position"""
    group = find(connection, name)
    rows = connection.execute(sql, (group.id,)).fetchall()
    return [Parked(record_of(row[:8]), row[8], row[9]) for row in rows]


def replay(database: Database, name: str, ids: Sequence[str] | None) -> int:
    """Parked records wait to be delivered as if for the first time, whatever the checkpoint says."""
    return _unpark(database, name, ids, "INSERT INTO redeliveries VALUES (?, ?, 0, 0)")


def drop(database: Database, name: str, ids: Sequence[str]) -> int:
    """Parked records are settled; what lies behind the checkpoint is anyway."""
    return _unpark(
        database, name, ids, "INSERT INTO settled SELECT g.id, p.position FROM groups g JOIN parked p ON p.grp = g.id "
        "WHERE g.id = ? AND p.position = ? AND p.position > g.checkpoint"
    )  # fmt: skip


def _unpark(database: Database, name: str, ids: Sequence[str] | None, then: str) -> int:
    """Take records, all or those with these ids, out of what is parked; `then` says what they become, given group and position."""
    sql = "SELECT p.position, m.id FROM parked p CROSS JOIN messages m ON m.position = p.position WHERE p.grp = ?"
    wanted = None if ids is None else {bytes.fromhex(id_.replace("-", "")) for id_ in ids}
    with database.write(durable=True) as connection:
        group = find(connection, name)
        found = connection.execute(sql, (group.id,)).fetchall()
        rows = [(group.id, position) for position, id_ in found if wanted is None or id_ in wanted]
        connection.executemany(then, rows)
        connection.executemany("DELETE FROM parked WHERE grp = ? AND position = ?", rows)
    return len(rows)
