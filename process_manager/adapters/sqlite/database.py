"""The file and its two connections: one writes, one reads, each used by one thread at a time."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from threading import RLock

from process_manager.adapters.sqlite.errors import translated
from process_manager.adapters.sqlite.schema import check, prepare
from process_manager.adapters.sqlite.wal import switch_to_wal
from process_manager.errors import NotAStore, StoreReadOnly, StoreUnavailable

HEADER = b"SQLite format 3\0"

PAGES_BETWEEN_CHECKPOINTS = 10_000
"""Pages in the write-ahead log before it is folded into the file (40 MB); SQLite's own 1,000 costs a quarter of the speed."""


class Database:
    """A file that is a store, open for reading and writing, or by SQLite itself for reading only.

    All writing goes through one connection: a second one in the process would throw the first one's page cache away with each
    commit, and would wait for it by SQLite's polling. `durable` says for each transaction whether commit waits for the disk; what
    does not wait is safe from a kill, and after a power failure the file stands at an earlier commit, never in between.
    """

    def __init__(self, path: str | Path, *, create: bool = True, read_only: bool = False, busy_timeout: float = 30.0) -> None:
        self.path = str(path)
        self._read_only = read_only
        self._address = Path(path).absolute().as_uri() + ("?mode=ro" if read_only else "?mode=rw")
        self._busy = busy_timeout
        self._process = os.getpid()
        self._closed = False
        self._write_lock = RLock()
        self._read_lock = RLock()
        self._touch(create=create and not read_only)
        self._check_header()
        with translated(self.path):
            self._writer = self._connect()
            try:
                self._prepare()
                self._reader = self._connect()
                self._reader.execute("PRAGMA query_only = ON")
            except BaseException:
                self._writer.close()
                raise

    def _touch(self, *, create: bool) -> None:
        """Create the file for its owner alone, as far as the umask lets; SQLite would let the world read it."""
        if Path(self.path).is_dir():
            raise NotAStore(f"{self.path} is a directory: name a file in it")
        if Path(self.path).exists():
            return
        if not create:
            raise StoreUnavailable(f"{self.path}: there is no such file")
        try:
            os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))
        except OSError as error:
            kind = StoreReadOnly if isinstance(error, PermissionError) else StoreUnavailable
            raise kind(f"{self.path}: cannot be created: {error.strerror}") from error

    def _check_header(self) -> None:
        """Raise NotAStore for a file of a few bytes: SQLite would take it for an empty database and write over it."""
        with suppress(OSError), Path(self.path).open("rb") as file:
            start = file.read(len(HEADER))
            if start and start != HEADER:
                raise NotAStore(f"{self.path}: it is no SQLite database: name another file")

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._address,
            uri=True,
            timeout=self._busy,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            connection.execute("PRAGMA cache_size = -65536")
        except BaseException:
            connection.close()
            raise
        return connection

    def _prepare(self) -> None:
        connection = self._writer
        if self._read_only:
            check(connection, self.path)
            return
        prepare(connection, self.path)
        switch_to_wal(connection, self._busy)
        connection.execute(f"PRAGMA wal_autocheckpoint = {PAGES_BETWEEN_CHECKPOINTS}")
        connection.execute(f"PRAGMA journal_size_limit = {PAGES_BETWEEN_CHECKPOINTS * 4096 * 2}")

    @contextmanager
    def write(self, *, durable: bool) -> Iterator[sqlite3.Connection]:
        """One transaction: committed on leaving, or nothing of it. No one else's code runs inside."""
        self._check()
        if self._read_only:
            raise StoreReadOnly(f"{self.path}: it was opened for reading only")
        with self._write_lock, translated(self.path):
            connection = self._writer
            connection.execute("PRAGMA synchronous = FULL" if durable else "PRAGMA synchronous = NORMAL")
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """The reading connection, for statements whose rows are fetched before leaving."""
        self._check()
        with self._read_lock, translated(self.path):
            yield self._reader

    def _check(self) -> None:
        if self._process != os.getpid():
            raise StoreUnavailable(f"{self.path}: was opened before this process was forked: open it again here")
        if self._closed:
            raise StoreUnavailable(f"{self.path}: this store was closed: open it again")

    def backup(self, path: str | Path) -> None:
        """Copy the file as it stands now, in one step, while others go on writing."""
        self._check()
        target = str(path)
        try:
            os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        except OSError as error:
            raise StoreUnavailable(f"{target}: a backup needs a new file: {error.strerror}") from error
        try:
            self._copy_to(target)
        except BaseException:
            Path(target).unlink(missing_ok=True)
            raise

    def _copy_to(self, target: str) -> None:
        with translated(target), closing(self._connect()) as source, closing(sqlite3.connect(target)) as copy:
            source.backup(copy)

    def close(self) -> None:
        """Let go of the file; the last one to do so folds the write-ahead log into it."""
        if self._closed or self._process != os.getpid():
            return
        with self._write_lock, self._read_lock:
            self._closed = True
            self._reader.close()
            self._writer.close()
