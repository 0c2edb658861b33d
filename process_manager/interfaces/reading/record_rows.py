"""Records as rows of data."""

from collections.abc import Iterable, Iterator
from typing import Any

import orjson

from process_manager.core.metadata import readable_time
from process_manager.core.records import Record

COLUMNS = ("id", "type", "stream", "revision", "position", "time", "data", "metadata")


def record_rows(records: Iterable[Record]) -> Iterator[dict[str, Any]]:
    """A row of COLUMNS for each record; data and metadata that are not JSON are shown as text."""
    for record in records:
        yield {
            "id": record.id, "type": record.type, "stream": record.stream, "revision": record.revision, "position": record.position,
            "time": readable_time(record), "data": _value(record.data), "metadata": _value(record.metadata),
        }  # fmt: skip


def _value(raw: bytes) -> Any:
    try:
        return orjson.loads(raw) if raw else None
    except ValueError:
        return raw.decode(errors="replace")
