"""What stands in a log: a record about to be appended, and one that was.

Ids are UUIDs in their canonical lower-case text, because that is what metadata, facts and people hold.
Times are whole microseconds since 1970 in UTC.
"""

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class NewRecord(NamedTuple):
    """A record to append; its id is fixed before the first attempt, so that a repeat is recognised."""

    id: str
    type: str
    data: bytes
    metadata: bytes

    @property
    def size(self) -> int:
        """Bytes that count towards the limit of an append, as EventStoreDB counts them."""
        return len(self.data) + len(self.metadata) + 2 * len(self.type)


class Record(NamedTuple):
    """A record of the log."""

    id: str
    type: str
    data: bytes
    metadata: bytes
    stream: str
    revision: int  # from 0, without gaps inside a stream
    position: int  # in the whole log: increasing, opaque, not dense
    created: int  # the store's own time, microseconds since 1970

    @property
    def of_the_store(self) -> bool:
        """Whether a server keeps it for itself, such as the checkpoint of a group: its stream's name starts with `$`."""
        return self.stream.startswith("$")


def log_beginning_with(first: Record) -> str:
    """The name of the log whose first record this is: its id and position.

    A file and a server on it hold the same records at different positions, so they count as two logs.
    """
    return f"{first.id}@{first.position}"


def moment(micros: int) -> datetime:
    """Microseconds since 1970 as a time in UTC."""
    return _EPOCH + timedelta(microseconds=micros)
