"""The event store in one SQLite file."""

import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from weakref import WeakSet

from process_manager.adapters.sqlite import groups as tables
from process_manager.adapters.sqlite.appends import Appender
from process_manager.adapters.sqlite.consumer import POLL, SqliteConsumer
from process_manager.adapters.sqlite.database import Database
from process_manager.adapters.sqlite.reading import Scan, last_position, read_stream, scan_backwards
from process_manager.adapters.sqlite.tail import Tail
from process_manager.core.records import Record
from process_manager.errors import StoreError
from process_manager.ports import (
    BEFORE_ALL,
    EVERYTHING,
    Appended,
    Block,
    Consumer,
    Features,
    Filter,
    GroupInfo,
    GroupSettings,
    Parked,
)

PAGE = 1_000


class SqliteStore:
    """An `EventStore` in one file, which several processes may use at once."""

    features = Features(durable=True, single_active=True, shared=True)

    def __init__(self, path: str | Path, *, create: bool = True, read_only: bool = False, busy_timeout: float = 30.0) -> None:
        """Open a file, or create it for its owner alone. Raises NotAStore, StoreTooNew, StoreReadOnly or StoreUnavailable.

        A store that is `read_only` answers every call that would write with StoreReadOnly.
        """
        self._database = Database(path, create=create, read_only=read_only, busy_timeout=busy_timeout)
        self._tail = Tail()
        self._appender = Appender(self._database, self._tail)
        self._consumers: WeakSet[SqliteConsumer] = WeakSet()

    def append(self, block: Block) -> Appended:
        (answer,) = self._appender.append([block])
        if isinstance(answer, StoreError):
            raise answer
        return answer

    def append_many(self, blocks: Sequence[Block], lease: Consumer | None = None) -> Sequence[Appended | StoreError]:
        if lease is None:
            return self._appender.append(blocks)
        if not isinstance(lease, SqliteConsumer):
            raise TypeError(f"a lease of this store is a SqliteConsumer, not {lease!r}")
        return self._appender.append(blocks, lease.check)

    def read_stream(self, stream: str, *, start: int | None = None, backwards: bool = False, limit: int | None = None) -> Iterator[Record]:
        return read_stream(self._database, stream, start, limit, backwards=backwards)

    def read_all(
        self, *, after: int | None = None, backwards: bool = False, limit: int | None = None, where: Filter = EVERYTHING
    ) -> Iterator[Record]:
        if backwards:
            return islice(scan_backwards(self._database, where, after), limit)
        return islice(self._forwards(BEFORE_ALL if after is None else after, where, limit), limit)

    def _forwards(self, after: int, where: Filter, limit: int | None) -> Iterator[Record]:
        scan = Scan(self._database, self._tail, where, after)
        size = PAGE if limit is None else min(PAGE, limit)
        while found := scan.next(size):
            yield from found

    def subscribe(self, *, after: int = BEFORE_ALL, where: Filter = EVERYTHING) -> "SqliteSubscription":
        return SqliteSubscription(self._database, self._tail, after, where)

    def last_position(self) -> int:
        with self._database.read() as connection:
            return last_position(connection)

    def wait(self, after: int, timeout: float) -> bool:
        until = time.monotonic() + timeout
        while self.last_position() <= after:
            if (left := until - time.monotonic()) <= 0:
                return False
            self._tail.pause(after, min(left, POLL))
        return True

    def create_group(self, name: str, *, where: Filter, after: int = BEFORE_ALL, settings: GroupSettings | None = None) -> None:
        tables.create(self._database, name, where, after, settings or GroupSettings())

    def update_group(self, name: str, settings: GroupSettings) -> None:
        tables.update(self._database, name, settings)

    def delete_group(self, name: str) -> None:
        tables.delete(self._database, name)

    def group_names(self) -> Sequence[str]:
        with self._database.read() as connection:
            return tables.names(connection)

    def groups(self) -> Sequence[GroupInfo]:
        with self._database.read() as connection:
            return [tables.info(connection, name) for name in tables.names(connection)]

    def group(self, name: str) -> GroupInfo:
        with self._database.read() as connection:
            return tables.info(connection, name)

    def join(self, group: str, member: str) -> SqliteConsumer:
        with self._database.read() as connection:
            found = tables.find(connection, group)
        consumer = SqliteConsumer(self._database, self._tail, found, member)
        self._consumers.add(consumer)
        return consumer

    def parked(self, group: str) -> Sequence[Parked]:
        with self._database.read() as connection:
            return tables.parked(connection, group)

    def replay_parked(self, group: str, ids: Sequence[str] | None = None) -> int:
        count = tables.replay(self._database, group, ids)
        self._tail.wake()
        return count

    def drop_parked(self, group: str, ids: Sequence[str]) -> int:
        return tables.drop(self._database, group, ids)

    def backup(self, path: str | Path) -> None:
        """Copy the store as it stands now to a new file, while workers run."""
        self._database.backup(path)

    def close(self) -> None:
        for consumer in list(self._consumers):
            consumer.leave()
        self._database.close()


class SqliteSubscription:
    """A catch-up subscription; see `Subscription`."""

    def __init__(self, database: Database, tail: Tail, after: int, where: Filter) -> None:
        self._tail = tail
        self._scan = Scan(database, tail, where, after)
        self._closed = False

    @property
    def position(self) -> int:
        return self._scan.position

    def next_batch(self, limit: int, timeout: float = 0.0) -> Sequence[Record]:
        until = time.monotonic() + timeout
        while not self._closed:
            if found := self._scan.next(limit):
                return found
            if (left := until - time.monotonic()) <= 0:
                break
            self._tail.pause(self._scan.position, min(left, POLL))
        return []

    def close(self) -> None:
        self._closed = True
