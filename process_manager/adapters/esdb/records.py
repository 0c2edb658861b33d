"""Records as the server sends them, and appends as it takes them."""

from typing import Any, NamedTuple

from esdbclient.protos.Grpc import shared_pb2, streams_pb2

from process_manager.core.records import NewRecord, Record
from process_manager.ports import Block, StreamState

_JSON = {"content-type": "application/json"}
_BYTES = {"content-type": "application/octet-stream"}


class Found(NamedTuple):
    """What a read has found; for a resolved link the record that it points to, at the place of the link in the log."""

    record: Record
    link: Record | None = None

    @property
    def itself(self) -> Record:
        """What stands in the stream that was read: the link, where there is one."""
        return self.link or self.record


def found(event: Any) -> Found | None:
    """What an event of a read, or of a group's, stands for; None for a link to what is gone."""
    if not event.event.id.string:
        return None
    if not event.HasField("link"):
        return Found(_record(event.event))
    link = _record(event.link)
    return Found(_record(event.event)._replace(position=link.position), link)


def _record(event: Any) -> Record:
    given, stream = event.metadata, event.stream_identifier.stream_name.decode()
    created = int(given.get("created") or 0) // 10  # they count tenths of microseconds
    return Record(
        event.id.string, given["type"], event.data, event.custom_metadata, stream, event.stream_revision, event.commit_position, created
    )


def append_request(block: Block, correlation: str) -> Any:
    """One whole block as one message of a BatchAppend call."""
    options = streams_pb2.BatchAppendReq.Options(stream_identifier=shared_pb2.StreamIdentifier(stream_name=block.stream.encode()))
    match block.expected:
        case StreamState.NO_STREAM:
            options.no_stream.SetInParent()
        case StreamState.ANY:
            options.any.SetInParent()
        case StreamState.EXISTS:
            options.stream_exists.SetInParent()
        case revision:
            options.stream_position = revision
    return streams_pb2.BatchAppendReq(
        correlation_id=shared_pb2.UUID(string=correlation),
        options=options,
        proposed_messages=[_proposed(record) for record in block.records],
        is_final=True,
    )


def _proposed(record: NewRecord) -> Any:
    kind = _JSON if record.data[:1] in {b"{", b"["} else _BYTES  # strategies and projections look into JSON alone
    return streams_pb2.BatchAppendReq.ProposedMessage(
        id=shared_pb2.UUID(string=record.id), metadata={"type": record.type, **kind}, custom_metadata=record.metadata, data=record.data
    )
