"""Dropping parked records. Who dropped one, and why, is recorded in the log first."""

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import uuid4

from process_manager.core.codec import dumps
from process_manager.core.records import NewRecord
from process_manager.ports import Block, EventStore, Parked, StreamState
from process_manager.runtime.reconcile import dropped_in

DROPPED = "pm.parked-dropped"


def drop(store: EventStore, group: str, parked: Sequence[Parked], actor: str, reason: str) -> int:
    """Drop parked records of a group and return how many were dropped. Raises StoreError.

    A record for each is appended to the stream `pm.dropped-<group>` before. After a crash between the two they are still parked and can be
    dropped again.
    """
    for each in parked:
        store.append(Block(dropped_in(group), [_note(group, each, actor, reason)], StreamState.ANY))
    return store.drop_parked(group, [each.record.id for each in parked])


def _note(group: str, parked: Parked, actor: str, reason: str) -> NewRecord:
    record = parked.record
    data = {
        "group": group, "id": record.id, "type": record.type, "stream": record.stream, "revision": record.revision,
        "parked_because": parked.reason[:10_000], "actor": actor, "reason": reason[:10_000],
    }  # fmt: skip
    metadata = {"$correlationId": record.id, "$causationId": record.id, "time": datetime.now(UTC), "version": 1}
    return NewRecord(str(uuid4()), DROPPED, dumps(data), dumps(metadata))
