"""What `$$stream` records say about streams: which of their events are to be read, and which streams are gone."""

import json
from dataclasses import dataclass
from typing import Any

from process_manager.interfaces.devserver.wire import LAST_REVISION, METADATA, TOMBSTONE
from process_manager.ports import EventStore, Filter

PREFIX = "$$"
_NEWEST_ONLY = 1  # a metadata stream shows its last record


@dataclass(frozen=True, slots=True)
class Limits:
    """Which events of a stream are readable; `raw` holds all keys, the users' too."""

    max_count: int | None = None
    max_age: int | None = None  # seconds
    truncate_before: int = 0
    raw: bytes = b"{}"

    @property
    def deleted(self) -> bool:
        return self.truncate_before == LAST_REVISION

    def first(self, last: int) -> int:
        """The first readable revision of a stream whose last one is `last`, its age aside."""
        return max(self.truncate_before, last - self.max_count + 1 if self.max_count else 0)

    def with_truncate_before(self, revision: int) -> bytes:
        """The same metadata with another `$tb`."""
        return json.dumps(_keys(self.raw) | {"$tb": revision}, separators=(",", ":")).encode()


NO_LIMITS = Limits()
_OF_METADATA = Limits(max_count=_NEWEST_ONLY)


def _keys(data: bytes) -> dict[str, Any]:
    """Metadata that is no JSON object counts as empty."""
    try:
        found = json.loads(data)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def limits_of(data: bytes) -> Limits:
    keys = _keys(data)
    before = _number(keys.get("$tb")) or 0
    return Limits(_number(keys.get("$maxCount")), _number(keys.get("$maxAge")), before, data)


class StreamIndex:
    """The limits and tombstones of all streams that have some: most have none, so it is small and stays in memory.

    Other processes may append to the file beside the server; their metadata records count from the next start.
    """

    def __init__(self, store: EventStore) -> None:
        self._limits: dict[str, Limits] = {}
        self._tombstones: set[str] = set()
        for record in store.read_all(where=Filter(types=frozenset({TOMBSTONE}), stream_prefixes=(PREFIX,))):
            self.take(record.stream, record.type, record.data)

    def take(self, stream: str, type_: str, data: bytes) -> None:
        """Take in a record that was appended."""
        if type_ == TOMBSTONE:
            self._tombstones.add(stream)
        elif type_ == METADATA and stream.startswith(PREFIX):
            self._limits[stream.removeprefix(PREFIX)] = limits_of(data)

    def limits(self, stream: str) -> Limits:
        if found := self._limits.get(stream):
            return found
        return _OF_METADATA if stream.startswith(PREFIX) else NO_LIMITS

    def has_metadata(self, stream: str) -> bool:
        return stream in self._limits

    def is_tombstoned(self, stream: str) -> bool:
        return stream in self._tombstones or stream.removeprefix(PREFIX) in self._tombstones
