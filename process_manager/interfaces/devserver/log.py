"""The store as EventStoreDB shows it: metadata limits, links, hidden streams, and positions that must be those of records."""

import time
from collections.abc import Iterator, Sequence
from itertools import islice, takewhile

from process_manager.core.records import Record
from process_manager.errors import StreamDeleted, StreamNotFound
from process_manager.interfaces.devserver.metadata import NO_LIMITS, Limits, StreamIndex
from process_manager.interfaces.devserver.statuses import invalid
from process_manager.interfaces.devserver.wire import LAST_REVISION, LINK, SPACING, Resolved, position_on_wire
from process_manager.ports import EventStore, Filter

ALL = Filter(type_prefixes=("",))  # the store's own records too
PAGE = 500
HIDDEN = "$persistentsubscription-$all::"  # checkpoints and parked links of groups on $all: shown there they would feed themselves


def visible(record: Record) -> bool:
    """Whether a record is shown in $all."""
    return not record.stream.startswith(HIDDEN)


class Log:
    """Reading; safe from any thread."""

    def __init__(self, store: EventStore) -> None:
        self.store = store
        self.index = StreamIndex(store)

    def last_revision(self, stream: str) -> int:
        """Of the last record, deleted or not; -1 where nothing was appended."""
        try:
            return next(self.store.read_stream(stream, backwards=True, limit=1)).revision
        except StreamNotFound:
            return -1

    def stream(self, stream: str, start: int | None, *, backwards: bool = False) -> Iterator[Record]:
        """The readable records from a revision on. Raises StreamDeleted for a tombstone, StreamNotFound where there is
        nothing or it was deleted."""
        if self.index.is_tombstoned(stream):
            raise StreamDeleted(stream)
        start = None if start is None else min(start, LAST_REVISION)
        limits = self.index.limits(stream)
        if limits is NO_LIMITS:
            return self.store.read_stream(stream, start=start, backwards=backwards)
        return self._limited(stream, start, limits, backwards=backwards)

    def _limited(self, stream: str, start: int | None, limits: Limits, *, backwards: bool) -> Iterator[Record]:
        last = self.last_revision(stream)
        if last < 0 or limits.deleted:
            raise StreamNotFound(stream)
        first = limits.first(last)
        found: Iterator[Record]
        if backwards:
            found = takewhile(lambda it: it.revision >= first, self.store.read_stream(stream, start=start, backwards=True))
        else:
            found = self.store.read_stream(stream, start=min(max(start or 0, first), LAST_REVISION))
        oldest = (time.time() - limits.max_age) * 1e6 if limits.max_age else 0
        return (record for record in found if record.created >= oldest)

    def forwards(self, after: int) -> Iterator[Sequence[Record]]:
        """Everything after a position, page by page, to the end as it is then."""
        pages = self.store.subscribe(after=after, where=ALL)
        while page := pages.next_batch(PAGE):
            yield page

    def backwards(self, before: int | None) -> Iterator[Record]:
        return self.store.read_all(after=before, backwards=True, where=ALL)

    def resolve(self, record: Record, *, links: bool) -> Resolved:
        """The record, or what it links to where that is wanted."""
        if not links or record.type != LINK:
            return Resolved(record)
        revision, _, stream = record.data.decode(errors="replace").partition("@")
        return Resolved(self._target(stream, revision), record)

    def _target(self, stream: str, revision: str) -> Record | None:
        if not (stream and revision.isdecimal()):
            return None
        try:
            return next((it for it in islice(self.stream(stream, int(revision)), 1) if it.revision == int(revision)), None)
        except (StreamNotFound, StreamDeleted):
            return None

    def position(self, wire: int) -> int:
        """The store's position that a client's position names: that of a record, -1 for 0, one beyond the last for
        what comes after it. Raises Refused for one inside a record."""
        last = self.store.last_position()
        if wire > position_on_wire(last):
            return last + 1
        if wire % SPACING:
            raise invalid("Trying to read from an invalid position.")
        return wire // SPACING - 1
