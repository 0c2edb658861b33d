"""Notes in the log: small streams in which an app writes what holds for all its workers, and what other apps must know."""

from collections.abc import Mapping
from typing import Any

import orjson

from process_manager.core.identity import new_record
from process_manager.core.records import Record
from process_manager.errors import StreamNotFound
from process_manager.ports import Block, EventStore, StreamState


def note(stream: str, after: int, type_: str, value: Mapping[str, Any]) -> Block:
    """The append of a note behind the stream's revision `after`, -1 for none; of the same value it is the same, whoever makes it."""
    data, metadata = orjson.dumps(value, option=orjson.OPT_SORT_KEYS), orjson.dumps({"version": 1})
    record = new_record(stream, str(after), "", type_, data, metadata)
    return Block(stream, [record], after if after >= 0 else StreamState.NO_STREAM)


def read_notes(store: EventStore, stream: str, *, newest: bool = False) -> list[Record]:
    """The notes of a stream, oldest first, or only the newest one."""
    try:
        return list(store.read_stream(stream, backwards=newest, limit=1 if newest else None))
    except StreamNotFound:
        return []
