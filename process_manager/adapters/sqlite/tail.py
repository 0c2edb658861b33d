"""The newest records that this process appended, kept in memory so that those who follow the log need not read the file."""

from collections.abc import Sequence
from threading import Condition

from process_manager.core.records import Record

RECORDS = 16_384
"""How many of the newest records are kept at least, twice as many at most, where they are not too large."""

BYTES = 64 * 1024 * 1024
"""Bytes of data and metadata that are kept at most."""


class Tail:
    """A run of records without gaps. When another process has appended in between, it begins anew behind the gap."""

    def __init__(self) -> None:
        self._records: list[Record] = []
        self._first = 0  # the position of the oldest record here
        self._bytes = 0
        self._news = Condition()

    def extend(self, records: list[Record], size: int) -> None:
        """Take what was just committed, in order of position, and wake who waits."""
        with self._news:
            if records[0].position != self._first + len(self._records):
                self._records, self._first, self._bytes = [], records[0].position, 0
            self._records.extend(records)
            self._bytes += size
            while len(self._records) > 2 * RECORDS or (self._bytes > BYTES and len(self._records) > 1):
                self._drop(len(self._records) // 2)
            self._news.notify_all()

    def _drop(self, count: int) -> None:
        """Forget the oldest, many at a time, so that the price for each is small."""
        del self._records[:count]
        self._first += count
        self._bytes = sum([len(record.data) + len(record.metadata) for record in self._records])

    def after(self, position: int, limit: int) -> Sequence[Record]:
        """At most `limit` records right after a position; none where they are not here."""
        with self._news:
            start = position + 1 - self._first
            return self._records[start : start + limit] if start >= 0 else []

    def wake(self) -> None:
        """Wake who waits: something else than the log has changed."""
        with self._news:
            self._news.notify_all()

    def pause(self, after: int | None, timeout: float) -> None:
        """Wait to be woken, or for the time to pass; not at all where a record after this position is here already."""
        with self._news:
            if after is None or self._first + len(self._records) - 1 <= after:
                self._news.wait(timeout)
