"""What a group reads: a stream, or $all through a filter, from where it stands on."""

from collections import deque
from collections.abc import Sequence
from itertools import islice
from typing import Protocol

from process_manager.core.records import Record
from process_manager.errors import StreamDeleted, StreamNotFound
from process_manager.interfaces.devserver.filters import Matches
from process_manager.interfaces.devserver.log import ALL, PAGE, Log

LOOKED_AT_ONCE = 10_000  # records of $all, so that a rare match does not hold up the other groups


class Source(Protocol):
    """A place in the log that moves on. `more`: it may not have reached the end; set it when there is news."""

    more: bool

    def next(self, limit: int) -> list[tuple[Record, int]]:
        """Some of the next records, each with its place; about `limit`, and none though there are more where matches are rare."""

    def newest(self, records: Sequence[Record]) -> int | None:
        """The place of the last of these records that concerns the group and is still to come: news may be older than the group."""


class StreamSource:
    """The readable records of a stream after a revision."""

    def __init__(self, log: Log, stream: str, after: int) -> None:
        self.more = True
        self._log = log
        self._stream = stream
        self._after = after

    def next(self, limit: int) -> list[tuple[Record, int]]:
        try:
            found = list(islice(self._log.stream(self._stream, self._after + 1), limit))
        except (StreamNotFound, StreamDeleted):
            found = []
        if found:
            self._after = found[-1].revision
        self.more = len(found) == limit
        return [(record, record.revision) for record in found]

    def newest(self, records: Sequence[Record]) -> int | None:
        return next((it.revision for it in reversed(records) if it.stream == self._stream and it.revision > self._after), None)


class AllSource:
    """The matching records of $all after a position."""

    def __init__(self, log: Log, matches: Matches, after: int) -> None:
        self.more = True
        self._matches = matches
        self._records = log.store.subscribe(after=after, where=ALL)
        self._ready: deque[Record] = deque()

    def next(self, limit: int) -> list[tuple[Record, int]]:
        looked, self.more = 0, True
        while self.more and len(self._ready) < limit and looked < LOOKED_AT_ONCE:
            page = self._records.next_batch(PAGE)
            self.more = bool(page)
            looked += len(page)
            self._ready.extend(record for record in page if self._matches(record))
        found = [self._ready.popleft() for _ in range(min(limit, len(self._ready)))]
        self.more = self.more or bool(self._ready)
        return [(record, record.position) for record in found]

    def newest(self, records: Sequence[Record]) -> int | None:
        return next((it.position for it in reversed(records) if it.position > self._records.position and self._matches(it)), None)
