"""Records as the client hands them out, and appends as the server takes them."""

from datetime import UTC, datetime, timedelta
from typing import Any

from esdbclient import RecordedEvent
from esdbclient.protos.Grpc import shared_pb2, streams_pb2

from process_manager.core.records import NewRecord, Record
from process_manager.ports import Block, StreamState

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_JSON = {"content-type": "application/json"}
_BYTES = {"content-type": "application/octet-stream"}


def record_of(event: RecordedEvent) -> Record:
    """A resolved link gives the record it points to, at the place of the link in the log."""
    created = (event.recorded_at - _EPOCH) // _MICROSECOND if event.recorded_at else 0
    return Record(str(event.id), event.type, event.data, event.metadata, event.stream_name, event.stream_position, place(event), created)


def place(event: RecordedEvent) -> int:
    """Where an event, or the link to it, stands in the log."""
    return (event.link or event).commit_position or 0


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
