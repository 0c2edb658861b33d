"""What a write means: the rules of EventStoreDB that the embedded store does not know, laid over those that it does.

The store judges exact versions and recognises their repeats. Above it stand soft deletes (`$tb` in the metadata stream), tombstones,
repeats at `any`, and empty appends. Everything here runs in the writer's thread, so nothing changes while it is judged.
"""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice

from process_manager.core.records import NewRecord
from process_manager.errors import StoreError, StreamDeleted, WrongExpectedVersion
from process_manager.interfaces.devserver.log import Log
from process_manager.interfaces.devserver.metadata import PREFIX
from process_manager.interfaces.devserver.recent_ids import RecentIds
from process_manager.interfaces.devserver.wire import LAST_REVISION, METADATA, TOMBSTONE, new_record
from process_manager.ports import Block, ExpectedVersion, StreamState


@dataclass(frozen=True, slots=True)
class Written:
    """Where an append stands; without a position where the server does not look it up, revision -1 for no stream."""

    revision: int
    position: int | None


Outcome = Written | StoreError
Plan = Sequence[Block] | Outcome
"""Blocks to append, of which the first one is answered for; or the answer itself."""


@dataclass(frozen=True, slots=True)
class Write:
    """Something to do to a stream: `plan` says what, in the writer's thread; `done` gets the outcome."""

    stream: str
    plan: "Callable[[Rules], Plan]"
    done: Callable[[Outcome], None]


class Rules:
    """Judges writes."""

    def __init__(self, log: Log, recent: RecentIds) -> None:
        self._log = log
        self._recent = recent

    def append(self, stream: str, records: Sequence[NewRecord], expected: ExpectedVersion) -> Plan:
        index = self._log.index
        if index.is_tombstoned(stream):
            return StreamDeleted(stream)
        if not records:
            return self._append_nothing(stream, expected)
        if index.limits(stream).deleted:
            return self._append_to_deleted(stream, records, expected)
        if expected in {StreamState.ANY, StreamState.EXISTS} and (repeated := self._repeated(stream, records, expected)):
            return repeated
        if expected is StreamState.EXISTS and index.has_metadata(stream):
            expected = StreamState.ANY
        return [Block(stream, records, expected)]

    def _repeated(self, stream: str, records: Sequence[NewRecord], expected: ExpectedVersion) -> Outcome | None:
        known, place = self._recent.find(stream, records)
        if place is None:
            return None
        if known < len(records):
            return WrongExpectedVersion(stream, expected, self._log.last_revision(stream))
        return Written(place.revision, place.position)

    def _append_nothing(self, stream: str, expected: ExpectedVersion) -> Outcome:
        last = self._log.last_revision(stream)
        return Written(last, None) if _is_at(expected, last) else self._wrong(stream, expected, last)

    def _append_to_deleted(self, stream: str, records: Sequence[NewRecord], expected: ExpectedVersion) -> Plan:
        """The stream goes on where it ended, and its metadata say from where on it is read."""
        last = self._log.last_revision(stream)
        if expected is StreamState.EXISTS:
            return StreamDeleted(stream)
        if expected is StreamState.NO_STREAM:
            stored = islice(self._log.store.read_stream(stream), len(records)) if last >= 0 else ()
            if [it.id for it in stored] == [it.id for it in records]:
                return Written(len(records) - 1, None)
        if isinstance(expected, int) and expected != last:
            return [Block(stream, records, expected)]
        limits = self._log.index.limits(stream)
        return [Block(stream, records, StreamState.ANY), _metadata(stream, limits.with_truncate_before(last + 1))]

    def delete(self, stream: str, expected: ExpectedVersion) -> Plan:
        """A soft delete: nothing of the stream is readable any more."""
        refused = self._check_version(stream, expected, may_be_new=False)
        return refused or [_metadata(stream, self._log.index.limits(stream).with_truncate_before(LAST_REVISION))]

    def tombstone(self, stream: str, expected: ExpectedVersion) -> Plan:
        """The end of a stream and its name."""
        refused = self._check_version(stream, expected, may_be_new=True)
        record = new_record(str(uuid.uuid4()), TOMBSTONE, b"", is_json=False)
        return refused or [Block(stream, [record], StreamState.ANY)]

    @staticmethod
    def set_metadata(stream: str, data: bytes) -> Plan:
        """Other metadata for a stream."""
        return [_metadata(stream, data)]

    def truncate(self, stream: str, before: int) -> Plan:
        """Nothing below this revision is readable any more."""
        return [_metadata(stream, self._log.index.limits(stream).with_truncate_before(before))]

    def _check_version(self, stream: str, expected: ExpectedVersion, *, may_be_new: bool) -> StoreError | None:
        if self._log.index.is_tombstoned(stream):
            return StreamDeleted(stream)
        last = self._log.last_revision(stream)
        if may_be_new and expected in {StreamState.ANY, StreamState.NO_STREAM} and last < 0:
            return None
        return None if _is_at(expected, last) and last >= 0 else self._wrong(stream, expected, last)

    @staticmethod
    def _wrong(stream: str, expected: ExpectedVersion, last: int) -> WrongExpectedVersion:
        return WrongExpectedVersion(stream, expected, last if last >= 0 else None)


def _is_at(expected: ExpectedVersion, last: int) -> bool:
    """Whether a stream whose last revision is this one is where it is expected to be."""
    match expected:
        case StreamState.ANY:
            return True
        case StreamState.NO_STREAM:
            return last < 0
        case StreamState.EXISTS:
            return last >= 0
        case revision:
            return revision == last


def _metadata(stream: str, data: bytes) -> Block:
    return Block(PREFIX + stream, [new_record(str(uuid.uuid4()), METADATA, data)], StreamState.ANY)
