"""What a group has parked: our own stream `pm.parked-<group>`, because the server's own can lose what it parks and what it replays.

A parked record stands there as a link to the original, with the reason in its metadata. Replaying appends, for each, a marker whose type
only this group's filter includes: it comes to the group through the log, its members hand out the original for it, and acknowledge it.
So both survive a crash at any time. What is dropped is named by a marker that comes to nobody.
Twice the same link or marker is the same as one.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from uuid import uuid4

import orjson

from process_manager.adapters.esdb.pipeline import Pipeline
from process_manager.adapters.esdb.reading import Reading
from process_manager.adapters.esdb.records import Found
from process_manager.core.records import NewRecord, Record
from process_manager.errors import AccessDenied, StoreError, StreamDeleted, StreamNotFound, WrongExpectedVersion
from process_manager.ports import Block, ExpectedVersion, Parked, StreamState

LINK = "$>"
CLEARED = "$pm.cleared"
DROPPED = "$pm.dropped"
CHUNK = 1_000
"""Markers in one append."""
AT_ONCE = 256 * 1024
"""Bytes of links in one append: many records with one long reason come to more than an append holds."""


def stream_of(group: str) -> str:
    """Where a group's parked records and replay markers are."""
    return f"pm.parked-{group}"


def marker_of(group: str) -> str:
    """The type of a group's replay markers."""
    return f"$pm.replayed.{group}"


class Parking:
    """Parks, replays, and tells what is parked."""

    def __init__(self, pipeline: Pipeline, reading: Reading) -> None:
        self._pipeline = pipeline
        self._reading = reading

    def park(self, group: str, records: Sequence[Record], reason: str) -> None:
        """Set records aside; durable on return."""
        why = {"reason": reason[:100_000], "at": time.time_ns() // 1000}
        links = [NewRecord(str(uuid4()), LINK, _target(it), orjson.dumps(why | {"position": it.position})) for it in records]
        each = max(1, AT_ONCE // max(link.size for link in links))
        for first in range(0, len(links), each):
            self._append(group, links[first : first + each], StreamState.ANY)

    def parked(self, group: str) -> Sequence[Parked]:
        """What is parked now, oldest first; what the server parked by itself too, as far as we may read it."""
        return self._fold(group)[0]

    def replay(self, group: str, ids: Sequence[str] | None) -> int:
        """Let parked records be delivered again. Returns how many."""
        return self._unpark(group, ids, marker_of(group))

    def drop(self, group: str, ids: Sequence[str]) -> int:
        """Drop parked records. Returns how many."""
        return self._unpark(group, ids, DROPPED)

    def _unpark(self, group: str, ids: Sequence[str] | None, type_: str) -> int:
        while True:
            parked, version = self._fold(group)
            chosen = [it for it in parked if ids is None or it.record.id in ids][:CHUNK]
            markers = [NewRecord(str(uuid4()), type_, _target(it.record), b"{}") for it in chosen]
            if not markers:
                return 0
            try:
                self._append(group, markers, StreamState.NO_STREAM if version < 0 else version)
            except WrongExpectedVersion:
                continue  # somebody parked or replayed at the same time
            return len(markers) + (self._unpark(group, ids, type_) if len(markers) == CHUNK else 0)

    def clear(self, group: str) -> None:
        """Forget everything that a group has parked."""
        if self._fold(group)[0]:
            self._append(group, [NewRecord(str(uuid4()), CLEARED, b"{}", b"{}")], StreamState.ANY)

    def adopt(self, group: str) -> None:
        """Take over what the server parked by itself, before its own list of it goes."""
        ours = {it.record.position for it in self._fold(group, server=False)[0]}
        for it in self.parked(group):
            if it.record.position not in ours:
                self.park(group, [it.record], it.reason)

    def original(self, target: bytes) -> Record | None:
        """The record that a marker or link names; None when it is gone."""
        revision, _, stream = target.decode().partition("@")
        with suppress(StreamNotFound, StreamDeleted):
            return next((it for it in self._reading.stream(stream, start=int(revision), limit=1) if it.revision == int(revision)), None)
        return None

    def _append(self, group: str, records: Sequence[NewRecord], expected: ExpectedVersion) -> None:
        (answer,) = self._pipeline.append([Block(stream_of(group), records, expected)])
        if isinstance(answer, StoreError):
            raise answer

    def _fold(self, group: str, *, server: bool = True) -> tuple[list[Parked], int]:
        """What is parked, by the server too or by us alone, and the version of our stream that says so."""
        version, parked = -1, dict[bytes, Parked]()
        gone: dict[bytes, int] = {}  # when it was replayed or dropped
        for found in self._found(stream_of(group)):
            record, version = found.record, found.itself.revision
            if found.link:
                parked[found.link.data] = _parked(found.link, record)
            elif record.type == CLEARED:
                parked.clear()
            elif record.type in {marker_of(group), DROPPED}:
                parked.pop(record.data, None)
                gone[record.data] = record.created
        for it in self._by_server(group) if server else ():
            if it.parked_at > gone.get(_target(it.record), 0):
                parked.setdefault(_target(it.record), it)
        return sorted(parked.values(), key=lambda it: (it.parked_at, it.record.position)), version

    def _by_server(self, group: str) -> Iterator[Parked]:
        for found in self._found(f"$persistentsubscription-$all::{group}-parked"):
            if found.link and (record := self.original(found.link.data)):
                yield _parked(found.link, record)

    def _found(self, stream: str) -> Iterator[Found]:
        with suppress(StreamNotFound, StreamDeleted, AccessDenied):
            yield from self._reading.in_stream(stream)


def _target(record: Record) -> bytes:
    return f"{record.revision}@{record.stream}".encode()


def _parked(link: Record, record: Record) -> Parked:
    """A parked record. A resolved link does not tell where its target stands in the log, so ours do; the server's say when as a date."""
    content = orjson.loads(link.metadata or b"{}")
    at = content.get("at") or _micros(content.get("added"))
    return Parked(record._replace(position=content.get("position", record.position)), str(content.get("reason") or ""), at)


def _micros(date: str | None) -> int:
    return int(datetime.fromisoformat(date).timestamp() * 1_000_000) if date else 0
