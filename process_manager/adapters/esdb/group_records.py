"""Our record of each group, for the server does not tell a group's filter: stream `pm.group-<name>`, whose last record counts."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import orjson

from process_manager.adapters.esdb.pipeline import Pipeline
from process_manager.adapters.esdb.reading import Reading
from process_manager.core.records import NewRecord
from process_manager.errors import GroupNotFound, StoreError, StreamNotFound
from process_manager.ports import Block, Filter, GroupSettings, StreamState

TYPE = "$pm.group"
"""The `$` keeps our own records out of everybody's reads of everything."""

_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class GroupRecord:
    """What a group is. `after`: nothing up to this position is delivered."""

    name: str
    where: Filter
    settings: GroupSettings
    after: int
    deleted: bool = False
    version: int = -1  # revision of this record


class GroupRecords:
    """Reads and writes them."""

    def __init__(self, pipeline: Pipeline, reading: Reading) -> None:
        self._pipeline = pipeline
        self._reading = reading

    def find(self, name: str) -> GroupRecord | None:
        """The record of a group, of a deleted one too."""
        try:
            records = list(self._reading.stream(_stream(name), backwards=True, limit=1))
        except StreamNotFound:
            return None
        return _read(name, records[0].data, records[0].revision) if records else None

    def get(self, name: str) -> GroupRecord:
        """The record of a group. Raises GroupNotFound."""
        record = self.find(name)
        if record is None or record.deleted:
            raise GroupNotFound(f"there is no group {name!r}")
        return record

    def write(self, record: GroupRecord) -> GroupRecord:
        """Write a record behind the one that it was made from. Raises WrongExpectedVersion where that is not the last any more."""
        new = NewRecord(str(uuid4()), TYPE, _data(record), b"{}")
        expected = StreamState.NO_STREAM if record.version < 0 else record.version
        (answer,) = self._pipeline.append([Block(_stream(record.name), [new], expected)])
        if isinstance(answer, StoreError):
            raise answer
        return replace(record, version=answer.revision)


def _stream(name: str) -> str:
    return f"pm.group-{name}"


def _data(record: GroupRecord) -> bytes:
    where, settings = record.where, record.settings
    filters = {"types": sorted(where.types), "type_prefixes": where.type_prefixes, "stream_prefixes": where.stream_prefixes}
    spans = {"message_timeout": settings.message_timeout // _MICROSECOND, "lease": settings.lease // _MICROSECOND}
    more = {"max_retries": settings.max_retries, "strategy": settings.strategy, "in_flight": settings.in_flight}
    return orjson.dumps({"where": filters, "settings": spans | more, "after": record.after, "deleted": record.deleted})


def _read(name: str, data: bytes, version: int) -> GroupRecord:
    content: Mapping[str, Any] = orjson.loads(data)
    where, settings = content["where"], content["settings"]
    return GroupRecord(
        name,
        Filter(frozenset(where["types"]), tuple(where["type_prefixes"]), tuple(where["stream_prefixes"])),
        GroupSettings(
            settings["message_timeout"] * _MICROSECOND,
            settings["max_retries"],
            settings["lease"] * _MICROSECOND,
            settings["strategy"],
            settings["in_flight"],
        ),
        content["after"],
        content["deleted"],
        version,
    )
