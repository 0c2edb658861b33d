"""Records as the server sends them, and appends as it takes them."""

from typing import Any, NamedTuple

from esdbclient.protos.Grpc import streams_pb2

from process_manager.core.records import NewRecord, Record
from process_manager.ports import Block, StreamState

_JSON = "application/json"
_BYTES = "application/octet-stream"


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
    request = streams_pb2.BatchAppendReq(is_final=True)
    request.correlation_id.string = correlation
    options = request.options
    options.stream_identifier.stream_name = block.stream.encode()
    match block.expected:
        case StreamState.NO_STREAM:
            options.no_stream.SetInParent()
        case StreamState.ANY:
            options.any.SetInParent()
        case StreamState.EXISTS:
            options.stream_exists.SetInParent()
        case revision:
            options.stream_position = revision
    for record in block.records:
        _propose(request.proposed_messages.add(data=record.data, custom_metadata=record.metadata), record)
    return request


def _propose(message: Any, record: NewRecord) -> None:
    message.id.string = record.id
    given = message.metadata
    given["type"] = record.type
    given["content-type"] = _JSON if record.data[:1] in {b"{", b"["} else _BYTES  # strategies and projections look into JSON alone
