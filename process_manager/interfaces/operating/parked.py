"""Parked records: which commands among them nobody wants any more, and dropping them with a record of who did it and why."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from uuid import uuid4

from process_manager.core.block import is_command
from process_manager.core.codec import dumps
from process_manager.core.records import NewRecord
from process_manager.interfaces.reading.histories import without_class
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


def unwanted(store: EventStore, parked: Iterable[Parked]) -> dict[str, str]:
    """Of parked commands, by id, the instances that do not run on with them: each undoes what it has done, or has ended.

    The command of an undo is wanted until it is done. Reads the streams of the instances. Raises StoreError.
    """
    found = {}
    for each in parked:
        if is_command(each.record):
            instance = without_class(store, each.record.stream)
            run = instance.run_of_command(each.record.id)
            if instance.status not in {"running", "not_started"} and run is not None and not run.undoes:
                found[each.record.id] = f"{instance.stream}, {instance.status}"
    return found


def _note(group: str, parked: Parked, actor: str, reason: str) -> NewRecord:
    record = parked.record
    data = {
        "group": group, "id": record.id, "type": record.type, "stream": record.stream, "revision": record.revision,
        "parked_because": parked.reason[:10_000], "actor": actor, "reason": reason[:10_000],
    }  # fmt: skip
    metadata = {"$correlationId": record.id, "$causationId": record.id, "time": datetime.now(UTC), "version": 1}
    return NewRecord(str(uuid4()), DROPPED, dumps(data), dumps(metadata))
