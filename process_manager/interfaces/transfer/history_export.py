"""Histories of instances as JSON Lines.

The first line says what the file is; each further line is one record. An instance's records stand together, from its first to its last.
"""

from collections.abc import Iterable, Iterator

import orjson

from process_manager.core.masking import Mask
from process_manager.core.records import Record
from process_manager.interfaces.reading.histories import RECEIPTS
from process_manager.ports import EventStore

FORMAT = 1
"""Version of the file; an import refuses another one."""


def export(store: EventStore, streams: Iterable[str], mask: Mask | None = None) -> Iterator[bytes]:
    """The lines of an export of these instances, without line ends. Raises StreamNotFound."""
    yield orjson.dumps({"pm.export": FORMAT, "masked": mask is not None, "untaken": untaken(store)})
    for stream in streams:
        records = [_readable(record) for record in store.read_stream(stream)]
        yield from map(_as_line, mask.history(records) if mask else records)


def unmatched(store: EventStore, streams: Iterable[str], mask: Mask) -> list[str]:
    """The fields of a mask that hide nothing in these instances; they are probably mistyped. Raises StreamNotFound."""
    return mask.unmatched(_readable(record) for stream in streams for record in store.read_stream(stream))


def untaken(store: EventStore) -> dict[str, list[str]]:
    """By process: the event types of the log that none of its instances has taken. The whole log is read.

    The export does not hold those events, so a candidate that handles one of these types cannot be judged on it; `pm drift` says so.
    """
    taken: dict[str, set[str]] = {}
    types: set[str] = set()
    for record in store.read_all():
        if record.type in RECEIPTS:
            taken.setdefault(record.stream.partition("-")[0], set()).add(orjson.loads(record.data)["input"]["type"])
        elif not (record.of_the_store or record.type.startswith("pm.")):
            types.add(record.type)
    return {process: sorted(types - known) for process, known in taken.items()}


def _readable(record: Record) -> Record:
    """The record, emptied where it is not JSON: others may write anything into a stream."""
    try:
        orjson.loads(record.data), orjson.loads(record.metadata or b"null")
    except ValueError:
        return record._replace(data=b"{}", metadata=b"{}")
    return record


def _as_line(record: Record) -> bytes:
    return orjson.dumps({
        "stream": record.stream, "revision": record.revision, "id": record.id, "type": record.type,
        "data": orjson.Fragment(record.data), "metadata": orjson.Fragment(record.metadata or b"null"),
    })  # fmt: skip
