"""What several tests of the read side use."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select

from process_manager.core.codec import dumps, encode
from process_manager.core.identity import derive
from process_manager.core.messages import Event
from process_manager.core.records import NewRecord, Record
from process_manager.ports import Block, EventStore, StreamState
from projections.projection import Projection
from projections.views import Views


def contents(views: Views, projections: Sequence[Projection]) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table, sorted."""
    with views.read() as connection:
        return {
            table.name: sorted((tuple(row) for row in connection.execute(select(table))), key=repr)
            for each in projections
            for table in each.tables
        }


def append(store: EventStore, records: Sequence[Record]) -> None:
    """Append records of another log, each by itself."""
    for record in records:
        store.append(Block(record.stream, [NewRecord(*record[:4])], StreamState.ANY))


def publish(store: EventStore, stream: str, event: Event, time: str | None = None) -> int:
    """Append an event; its position."""
    metadata = dumps({"time": time, "version": event.message_version} if time else {"version": event.message_version})
    id_ = derive(stream, str(store.last_position()))
    return store.append(Block(stream, [NewRecord(id_, event.message_type, encode(event), metadata)], StreamState.ANY)).position
