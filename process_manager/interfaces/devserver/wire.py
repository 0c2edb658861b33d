"""Records, ids and positions as they travel.

The store's positions are dense and begin at 0. On the wire a record's position is a multiple of SPACING, so that 0 lies before
every record and there are positions inside a record, as there are where positions are byte offsets.

The store keeps no content type. It follows from the first byte of the data; where a client said otherwise, eight blanks
behind the metadata say so: every reader of JSON skips them, and they never leave the server.
"""

from typing import Any, NamedTuple
from uuid import UUID

from esdbclient.protos.Grpc import shared_pb2

from process_manager.core.records import NewRecord, Record
from process_manager.interfaces.devserver import statuses

SPACING = 100
END = 2**64 - 1  # as a position or a revision: the end
LAST_REVISION = 2**63 - 1  # of a tombstone
TOMBSTONE = "$streamDeleted"
LINK = "$>"
METADATA = "$metadata"

JSON = "application/json"
BYTES = "application/octet-stream"
_OTHERWISE = b" \t\t \t \t\t"


class Resolved(NamedTuple):
    """A record as a reader sees it: a link that was resolved has both, one whose target is gone only the link."""

    event: Record | None
    link: Record | None = None

    @property
    def original(self) -> Record:
        """The record in the stream or log that was read: acknowledgements name its id."""
        found = self.link or self.event
        assert found is not None
        return found


def position_on_wire(position: int) -> int:
    return (position + 1) * SPACING


def uuid_text(value: shared_pb2.UUID) -> str:
    """Either form as canonical text. Raises ValueError."""
    if value.WhichOneof("value") != "structured":
        return str(UUID(value.string))
    high, low = value.structured.most_significant_bits, value.structured.least_significant_bits
    return str(UUID(int=(high & END) << 64 | low & END))


def uuid_on_wire(id_: str, *, structured: bool) -> shared_pb2.UUID:
    if not structured:
        return shared_pb2.UUID(string=id_)
    raw = UUID(id_).bytes
    high, low = int.from_bytes(raw[:8], signed=True), int.from_bytes(raw[8:], signed=True)
    return shared_pb2.UUID(structured=shared_pb2.UUID.Structured(most_significant_bits=high, least_significant_bits=low))


def _looks_like_json(data: bytes) -> bool:
    return data[:1] in {b"", b"{", b"[", b'"'}


def content_type(record: Record) -> str:
    is_json = _looks_like_json(record.data) != record.metadata.endswith(_OTHERWISE)
    return JSON if is_json else BYTES


def new_record(id_: str, type_: str, data: bytes, metadata: bytes = b"", *, is_json: bool = True) -> NewRecord:
    """A record to store, its content type with it."""
    return NewRecord(id_, type_, data, metadata if is_json == _looks_like_json(data) else metadata + _OTHERWISE)


def proposed(message: Any) -> NewRecord:
    """What a client proposes to append. Raises ValueError, or Refused where a metadata key is missing."""
    for key in ("type", "content-type"):
        if key not in message.metadata:
            raise statuses.missing_metadata(key)
    id_ = uuid_text(message.id)
    if not message.metadata["type"] or id_ == str(UUID(int=0)):
        raise ValueError("an event needs a type and an id that is not empty")
    is_json = message.metadata["content-type"] == JSON
    return new_record(id_, message.metadata["type"], message.data, message.custom_metadata, is_json=is_json)


def stream_name(identifier: shared_pb2.StreamIdentifier) -> str:
    """Raises ValueError for what cannot name a stream."""
    name = identifier.stream_name.decode()
    if not name or "\0" in name:
        raise ValueError("a stream needs a name, without NUL in it")
    return name


def on_wire(stream: str) -> shared_pb2.StreamIdentifier:
    return shared_pb2.StreamIdentifier(stream_name=stream.encode())


def revision_on_wire(record: Record) -> int:
    return LAST_REVISION if record.type == TOMBSTONE else record.revision


def fill(message: Any, record: Record, position: int, *, structured: bool) -> None:
    """Write a record into the RecordedEvent message of one of the services."""
    message.id.CopyFrom(uuid_on_wire(record.id, structured=structured))
    message.stream_identifier.stream_name = record.stream.encode()
    message.stream_revision = revision_on_wire(record)
    message.prepare_position = message.commit_position = position_on_wire(position)
    message.custom_metadata = record.metadata.removesuffix(_OTHERWISE)
    message.data = record.data
    metadata = message.metadata
    metadata["type"] = record.type
    metadata["content-type"] = content_type(record)
    metadata["created"] = str(record.created * 10)
