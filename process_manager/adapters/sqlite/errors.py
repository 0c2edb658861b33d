"""Translates SQLite's errors to ours; the one place that does."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from process_manager.errors import NotAStore, StoreError, StoreFull, StoreReadOnly, StoreUnavailable

MEANING: dict[int, tuple[type[StoreError], str]] = {
    sqlite3.SQLITE_FULL: (StoreFull, "there is no room left: free some, then repeat the append"),
    sqlite3.SQLITE_READONLY: (StoreReadOnly, "it cannot be written to: check the permissions of the file and of its directory"),
    sqlite3.SQLITE_PERM: (StoreReadOnly, "access was denied: check the permissions of the file and of its directory"),
    sqlite3.SQLITE_NOTADB: (NotAStore, "it is no SQLite database: name another file"),
    sqlite3.SQLITE_CORRUPT: (StoreUnavailable, "it is damaged: stop all workers and restore a backup"),
    sqlite3.SQLITE_BUSY: (StoreUnavailable, "other processes kept it busy for too long: repeat with the same bytes"),
    sqlite3.SQLITE_LOCKED: (StoreUnavailable, "other processes kept it busy for too long: repeat with the same bytes"),
    sqlite3.SQLITE_CANTOPEN: (StoreUnavailable, "it cannot be opened: check the path and the permissions of the directory"),
    sqlite3.SQLITE_IOERR: (StoreUnavailable, "the disk failed: look at the system's log, then repeat with the same bytes"),
    sqlite3.SQLITE_NOMEM: (StoreUnavailable, "memory ran out: repeat with the same bytes"),
}
"""Primary result codes; what is not here is StoreUnavailable as well, with SQLite's own words."""

PRIMARY = 0xFF  # the low byte of an extended result code


def translate(error: sqlite3.Error, path: str) -> StoreError:
    """Our error for one of SQLite's."""
    code = getattr(error, "sqlite_errorcode", None)  # absent where Python's module refused, on a closed connection
    kind, advice = MEANING.get((code or 0) & PRIMARY, (StoreUnavailable, "it failed"))
    return kind(f"{path}: {advice} ({error})")


@contextmanager
def translated(path: str) -> Iterator[None]:
    """A block in which SQLite's errors are raised as ours."""
    try:
        yield
    except sqlite3.Error as error:
        raise translate(error, path) from error
