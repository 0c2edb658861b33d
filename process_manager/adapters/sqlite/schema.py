"""The tables, as numbered migrations; the file records its number in `user_version` and what it is in `application_id`.

What shaped them, in rows/s over 600,000 rows of 350 bytes, 1,536 rows a transaction, fsync at commit:
- types as integers 126,000, as text 118,000;
- a checkpoint of the write-ahead log every 10,000 pages 163,000, every 1,000 pages 126,000; pages of 8 kB no different;
- one index row a block 175,000 against 163,000 for one a record: not worth a second way to say where a record is; no index 186,000;
- stream names that sort as they are created 197,000: a key that grows is cheaper than a random one.
There is no index on ids: it would cost a factor of four at a million rows, and the rules of an append compare ids at given revisions.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from process_manager.errors import NotAStore, StoreTooNew

APPLICATION_ID = 0x504D_4553  # "PMES": process manager event store

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        "CREATE TABLE streams (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE)",
        "CREATE TABLE types (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE)",
        # Positions are dense and only ever grow: nothing is deleted, and one writer at a time gives them out.
        """CREATE TABLE messages (
            position INTEGER PRIMARY KEY, stream INTEGER NOT NULL, revision INTEGER NOT NULL, id BLOB NOT NULL,
            type INTEGER NOT NULL, data BLOB NOT NULL, metadata BLOB NOT NULL, created INTEGER NOT NULL)""",
        "CREATE UNIQUE INDEX messages_by_stream ON messages (stream, revision)",
        # A record between checkpoint and delivered is in flight, unless one of the three tables below names it.
        """CREATE TABLE groups (
            id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE,
            types TEXT NOT NULL, type_prefixes TEXT NOT NULL, stream_prefixes TEXT NOT NULL,
            message_timeout INTEGER NOT NULL, max_retries INTEGER NOT NULL, lease_length INTEGER NOT NULL,
            checkpoint INTEGER NOT NULL, delivered INTEGER NOT NULL,
            lease INTEGER NOT NULL DEFAULT 0, beat INTEGER NOT NULL DEFAULT 0, holder TEXT)""",
        """CREATE TABLE settled (
            grp INTEGER NOT NULL, position INTEGER NOT NULL, PRIMARY KEY (grp, position)) WITHOUT ROWID""",
        """CREATE TABLE redeliveries (
            grp INTEGER NOT NULL, position INTEGER NOT NULL, retries INTEGER NOT NULL, out INTEGER NOT NULL,
            PRIMARY KEY (grp, position)) WITHOUT ROWID""",
        """CREATE TABLE parked (
            grp INTEGER NOT NULL, position INTEGER NOT NULL, reason TEXT NOT NULL, parked_at INTEGER NOT NULL,
            PRIMARY KEY (grp, position)) WITHOUT ROWID""",
    ),
)


def prepare(connection: sqlite3.Connection, path: str) -> None:
    """Bring the file to this version, all steps or none; raise NotAStore or StoreTooNew for a file that is not ours to touch."""
    if _version(connection, path) < len(MIGRATIONS):
        with _transaction(connection, "BEGIN IMMEDIATE"):
            _migrate(connection, _version_within(connection, path))  # read again: another process may have been faster


def check(connection: sqlite3.Connection, path: str) -> None:
    """Raise NotAStore or StoreTooNew for a file that cannot be read as it stands."""
    if _version(connection, path) < len(MIGRATIONS):
        raise NotAStore(f"{path} holds nothing that this version can read: open it for writing once, or name another file")


def _version(connection: sqlite3.Connection, path: str) -> int:
    with _transaction(connection, "BEGIN"):  # so that nobody makes the file a store between one question and the next
        return _version_within(connection, path)


def _version_within(connection: sqlite3.Connection, path: str) -> int:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application != APPLICATION_ID:
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        if application or version or tables:
            raise NotAStore(f"{path} is a database of another program: name another file")
    elif version > len(MIGRATIONS):
        raise StoreTooNew(f"{path} is at version {version}, this library knows up to {len(MIGRATIONS)}: upgrade it, or name another file")
    return int(version)


@contextmanager
def _transaction(connection: sqlite3.Connection, begin: str) -> Iterator[None]:
    connection.execute(begin)
    try:
        yield
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _migrate(connection: sqlite3.Connection, version: int) -> None:
    for statement in [statement for migration in MIGRATIONS[version:] for statement in migration]:
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
