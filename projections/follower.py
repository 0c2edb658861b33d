"""Projections that are at one place of the log, moved on together: rows and position in one transaction."""

import logging
import traceback
from collections.abc import Iterable, Sequence

from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError, StatementError

from process_manager.core.records import Record, log_beginning_with
from process_manager.errors import NewerFact, UndecodableMessage
from process_manager.ports import EVERYTHING, EventStore, Filter
from projections import views as database
from projections.errors import ProjectionError, ProjectionFailed
from projections.message import Message, Reader, issued_by_instance, may_be_command
from projections.projection import COMMAND, Handler, Projection
from projections.rows import Rows
from projections.views import Views

logger = logging.getLogger(__name__)


class Follower:
    """Reads the log once for several projections, by a catch-up subscription."""

    def __init__(
        self,
        store: EventStore,
        views: Views,
        projections: Sequence[Projection],
        position: int,
        *,
        prefix: str = "",
        before: int | None = None,
    ) -> None:
        """`prefix` is that of the tables; with `before`, only messages of an earlier time are taken (microseconds since 1970)."""
        self.projections = projections
        self.position = position
        self._views = views
        self._prefix = prefix
        self._before = before
        self._log = log_id(store)
        self._store = store
        self._tables = {each: database.actual(each, prefix) for each in projections}
        types = {type_ for each in projections for type_ in each.methods}
        self._by_type = {type_: _handlers(projections, type_) for type_ in types - {COMMAND}}
        self._of_commands = _handlers(projections, COMMAND)
        self._reader = Reader()
        self._subscription = store.subscribe(after=position, where=union(each.where for each in projections))

    def step(self, limit: int, timeout: float = 0.0, until: int | None = None) -> int:
        """Take a batch of records, none beyond position `until`. Returns how many. Waits up to `timeout` seconds for the first one.

        Raises Overtaken, and ProjectionFailed for a record that a projection cannot take; then nothing of the batch is written.
        """
        batch = self._subscription.next_batch(limit, timeout)
        reached = self._subscription.position
        if until is not None and (reached > until or not batch):
            batch, reached = [record for record in batch if record.position <= until], until
        if reached > self.position:
            with self._views.begin() as connection:
                self.lock(connection, reached)
                rows = {each: Rows(connection, tables) for each, tables in self._tables.items()}
                self._take(batch, rows)
                for each in self.projections:
                    _flush(each, rows[each], batch)
            self.position = reached
        return len(batch)

    def lock(self, connection: Connection, to: int | None = None) -> None:
        """Move to a position, or stay here, and keep others out until the transaction ends. Raises Overtaken."""
        self._log = self._log or log_id(self._store)
        database.move(connection, self.projections, self._prefix, self.position, self.position if to is None else to, self._log)

    def close(self) -> None:
        self._subscription.close()

    def _take(self, batch: Sequence[Record], rows: dict[Projection, Rows]) -> None:
        for record in batch:
            handlers = self._by_type.get(record.type, _NONE)
            command = self._of_commands and may_be_command(record)
            if not (handlers or command):
                continue
            try:
                message = self._reader.read(record)
                if self._before is not None and message.time >= self._before:
                    continue
                if command and issued_by_instance(message):
                    handlers = [*handlers, *self._of_commands]
                for projection, handler in handlers:
                    _call(projection, handler, message, rows[projection])
            except UndecodableMessage as error:
                logger.warning("passed over at %s: %s", record.position, error)


_Handlers = list[tuple[Projection, Handler]]

_NONE: _Handlers = []


def _handlers(projections: Iterable[Projection], type_: str) -> _Handlers:
    return [(each, handler) for each in projections if (handler := each.handler(type_)) is not None]


def _call(projection: Projection, handler: Handler, message: Message, rows: Rows) -> None:
    try:
        handler(message, rows)
    except UndecodableMessage:
        raise
    except NewerFact as error:
        raise ProjectionError(str(error)) from error
    except Exception as error:
        record, owner = message.record, type(projection).__name__
        raise ProjectionFailed(
            projection.name,
            f"{owner} cannot take {record.type} at position {record.position} (stream {record.stream}): "
            f"{type(error).__name__}: {error} ({_where(error)})",
        ) from error


def _where(error: Exception) -> str:
    """The line of the handler, or of what it calls in its own file, at which an error came up."""
    _, first, *deeper = traceback.extract_tb(error.__traceback__)
    last = [first, *(each for each in deeper if each.filename == first.filename)][-1]
    return f"{last.filename}:{last.lineno}"


def _flush(projection: Projection, rows: Rows, batch: Sequence[Record]) -> None:
    """Write its rows; what the database refuses of them is the projection's fault, unless the database itself is in trouble."""
    try:
        rows.flush()
    except StatementError as error:
        if isinstance(error, OperationalError):
            raise
        raise ProjectionFailed(
            projection.name,
            f"{type(projection).__name__} cannot write what it made of positions {batch[0].position} to {batch[-1].position}: {error.orig}",
        ) from error


def union(filters: Iterable[Filter]) -> Filter:
    """The records that any of the projections reads."""
    each = list(filters)
    return EVERYTHING if EVERYTHING in each else Filter(types=frozenset().union(*(it.types for it in each)))


def log_id(store: EventStore) -> str:
    """The name of the log; empty for an empty log."""
    first = next(iter(store.read_all(limit=1)), None)
    return "" if first is None else log_beginning_with(first)
