"""Ids appended lately: what a repeat at `any` or `stream_exists` is recognised by, until the server is restarted."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple

from process_manager.core.records import NewRecord
from process_manager.ports import Appended

REMEMBERED = 100_000


class _Place(NamedTuple):
    stream: str
    revision: int
    position: int


class RecentIds:
    """Where records stand, by id alone; the first place of an id is kept."""

    def __init__(self) -> None:
        self._places: OrderedDict[str, _Place] = OrderedDict()

    def remember(self, stream: str, records: Sequence[NewRecord], appended: Appended) -> None:
        """Take in a block by where its last record stands."""
        revision, position = appended.revision - len(records), appended.position - len(records)
        for number, record in enumerate(records, 1):
            self._places.setdefault(record.id, _Place(stream, revision + number, position + number))
        while len(self._places) > REMEMBERED:
            self._places.popitem(last=False)

    def find(self, stream: str, records: Sequence[NewRecord]) -> tuple[int, Appended | None]:
        """How many of these records, from the first on, are known in this stream, and where the last of those stands."""
        found: Appended | None = None
        for known, record in enumerate(records):
            place = self._places.get(record.id)
            if place is None or place.stream != stream:
                return known, found
            found = Appended(place.revision, place.position)
        return len(records), found
