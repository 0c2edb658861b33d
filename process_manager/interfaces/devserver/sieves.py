"""What a catch-up subscription lets through: one for $all, one for a stream."""

from collections.abc import Sequence
from typing import NamedTuple

from process_manager.core.records import Record
from process_manager.interfaces.devserver.filters import Matches


class Checkpoint(NamedTuple):
    """Everything up to here was seen."""

    position: int


Item = Record | Checkpoint


class AllSieve:
    """Matching records after a position, and a checkpoint after every `interval` records looked at, if there is one."""

    def __init__(self, matches: Matches, position: int, interval: int | None) -> None:
        self.position = position
        self._matches = matches
        self._interval = interval
        self._looked = 0

    def sift(self, records: Sequence[Record]) -> list[Item]:
        found: list[Item] = []
        for record in records:
            if record.position > self.position:
                self.position = record.position
                self._looked += 1
                if self._matches(record):
                    found.append(record)
                if self._looked == self._interval:
                    found += self.checkpoint()
        return found

    def checkpoint(self) -> list[Item]:
        """A checkpoint, where it would say something new."""
        new = self._interval is not None and self._looked > 0
        self._looked = 0
        return [Checkpoint(self.position)] if new else []


class StreamSieve:
    """The records of a stream after a revision."""

    def __init__(self, stream: str, revision: int) -> None:
        self._stream = stream
        self.revision = revision

    def sift(self, records: Sequence[Record]) -> list[Item]:
        found: list[Item] = [it for it in records if it.stream == self._stream and it.revision > self.revision]
        if found:
            last = found[-1]
            assert isinstance(last, Record)
            self.revision = last.revision
        return found
