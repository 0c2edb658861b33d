"""Streams.Append: one append for each call."""

from collections.abc import Iterator
from typing import Any

from esdbclient.protos.Grpc import streams_pb2

from process_manager.errors import AppendTooLarge, WrongExpectedVersion
from process_manager.interfaces.devserver import statuses, wire
from process_manager.interfaces.devserver.expected_versions import expected_version
from process_manager.interfaces.devserver.write_rules import Outcome, Written
from process_manager.interfaces.devserver.writer import Writer
from process_manager.ports import StreamState


class Appending:
    """The call, over the writer."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    def append(self, requests: Iterator[Any], _: Any) -> streams_pb2.AppendResp:
        """The first request holds the options, each other one an event; the end of the requests commits."""
        first = next(requests, None)
        if first is None or first.WhichOneof("content") != "options":
            raise ValueError("an append begins with its options")
        stream = wire.stream_name(first.options.stream_identifier)
        expected = expected_version(first.options, "expected_stream_revision", "revision")
        records = [wire.proposed(request.proposed_message) for request in requests]
        return _answer(self._writer.append(stream, records, expected))


def _answer(outcome: Outcome) -> streams_pb2.AppendResp:
    match outcome:
        case Written():
            return streams_pb2.AppendResp(success=_success(outcome))
        case WrongExpectedVersion():
            return streams_pb2.AppendResp(wrong_expected_version=_wrong(outcome))
        case AppendTooLarge():
            raise statuses.too_large()
        case _:
            raise outcome


def _success(written: Written) -> streams_pb2.AppendResp.Success:
    success = streams_pb2.AppendResp.Success()
    if written.revision >= 0:
        success.current_revision = written.revision
    else:
        success.no_stream.SetInParent()
    if written.position is None:
        success.no_position.SetInParent()
    else:
        at = wire.position_on_wire(written.position)
        success.position.commit_position = success.position.prepare_position = at
    return success


def _wrong(error: WrongExpectedVersion) -> streams_pb2.AppendResp.WrongExpectedVersion:
    """With the fields of server 20.6 beside today's, as the server fills both."""
    wrong = streams_pb2.AppendResp.WrongExpectedVersion()
    if error.actual is None:
        wrong.no_stream_20_6_0.SetInParent()
        wrong.current_no_stream.SetInParent()
    else:
        wrong.current_revision_20_6_0 = wrong.current_revision = error.actual
    match error.expected:
        case StreamState.NO_STREAM:
            wrong.expected_revision_20_6_0 = wire.END
            wrong.expected_no_stream.SetInParent()
        case StreamState.ANY:
            wrong.any_20_6_0.SetInParent()
            wrong.expected_any.SetInParent()
        case StreamState.EXISTS:
            wrong.stream_exists_20_6_0.SetInParent()
            wrong.expected_stream_exists.SetInParent()
        case revision:
            assert isinstance(revision, int)
            wrong.expected_revision_20_6_0 = wrong.expected_revision = revision
    return wrong
