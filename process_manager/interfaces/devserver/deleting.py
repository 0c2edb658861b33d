"""Streams.Delete and Streams.Tombstone."""

from typing import Any

from esdbclient.protos.Grpc import streams_pb2

from process_manager.errors import WrongExpectedVersion
from process_manager.interfaces.devserver import statuses, wire
from process_manager.interfaces.devserver.expected_versions import as_number, expected_version
from process_manager.interfaces.devserver.write_rules import Outcome, Written
from process_manager.interfaces.devserver.writer import Writer
from process_manager.ports import ExpectedVersion


class Deleting:
    """Both calls, over the writer."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    def delete(self, request: streams_pb2.DeleteReq, _: Any) -> streams_pb2.DeleteResp:
        stream, expected = _what(request)
        position = _position(self._writer.wait(stream, lambda rules: rules.delete(stream, expected)), expected)
        return streams_pb2.DeleteResp(position=streams_pb2.DeleteResp.Position(commit_position=position, prepare_position=position))

    def tombstone(self, request: streams_pb2.TombstoneReq, _: Any) -> streams_pb2.TombstoneResp:
        stream, expected = _what(request)
        position = _position(self._writer.wait(stream, lambda rules: rules.tombstone(stream, expected)), expected)
        return streams_pb2.TombstoneResp(position=streams_pb2.TombstoneResp.Position(commit_position=position, prepare_position=position))


def _what(request: Any) -> tuple[str, ExpectedVersion]:
    return wire.stream_name(request.options.stream_identifier), expected_version(request.options, "expected_stream_revision", "revision")


def _position(outcome: Outcome, expected: ExpectedVersion) -> int:
    if isinstance(outcome, Written):
        assert outcome.position is not None
        return wire.position_on_wire(outcome.position)
    if isinstance(outcome, WrongExpectedVersion):
        actual = -1 if outcome.actual is None else outcome.actual
        raise statuses.wrong_version(outcome.stream, as_number(expected), actual)
    raise outcome
