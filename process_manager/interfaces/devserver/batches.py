"""Streams.BatchAppend: one long call, many appends, each answered by its correlation id when it is durable."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from threading import Thread
from typing import Any

import grpc
from esdbclient.protos.Grpc import shared_pb2, status_pb2, streams_pb2

from process_manager.core.records import NewRecord
from process_manager.errors import AppendTooLarge, StoreError, StreamDeleted, WrongExpectedVersion
from process_manager.interfaces.devserver import wire
from process_manager.interfaces.devserver.calls import Calls, Mailbox
from process_manager.interfaces.devserver.expected_versions import expected_version
from process_manager.interfaces.devserver.statuses import Refused
from process_manager.interfaces.devserver.write_rules import Rules, Write, Written
from process_manager.interfaces.devserver.writer import Writer
from process_manager.ports import MAX_APPEND, ExpectedVersion, StreamState

Result = Written | Exception


@dataclass(slots=True)
class _Batch:
    """An append that is coming in."""

    correlation: shared_pb2.UUID
    options: Any
    messages: list[Any] = field(default_factory=list)


class Batches:
    """The call, over the writer."""

    def __init__(self, writer: Writer, calls: Calls) -> None:
        self._writer = writer
        self._calls = calls

    def batch_append(self, requests: Iterator[Any], context: Any) -> Iterator[Any]:
        """Half-closing the requests does not end the call: the real server waits for its cancellation too."""
        answers = self._calls.open(context)
        Thread(target=self._take, args=(requests, answers), name="devserver-batches", daemon=True).start()
        for batch, result in answers:
            yield _answer(batch, result)

    def _take(self, requests: Iterator[Any], answers: Mailbox[Any]) -> None:
        coming: dict[str, _Batch] = {}
        try:
            for request in requests:
                key = str(request.correlation_id)
                batch = coming.setdefault(key, _Batch(request.correlation_id, request.options))
                batch.messages.extend(request.proposed_messages)
                if request.is_final:
                    self._submit(coming.pop(key), answers)
        except grpc.RpcError:
            pass  # the client is gone; the mailbox knows
        except Exception as error:  # noqa: BLE001  the call ends with it
            answers.end(Refused(grpc.StatusCode.UNKNOWN, str(error)))

    def _submit(self, batch: _Batch, answers: Mailbox[Any]) -> None:
        def done(result: Result) -> None:
            answers.put((batch, result))

        try:
            stream = wire.stream_name(batch.options.stream_identifier)
            expected = expected_version(batch.options, "expected_stream_position", "stream_position")
            records = [wire.proposed(message) for message in batch.messages]
        except (ValueError, Refused) as error:
            return done(error)
        if _is_late(batch.options):
            return done(TimeoutError())
        return self._writer.submit(Write(stream, partial(_plan, stream, records, expected), done))


def _plan(stream: str, records: list[NewRecord], expected: ExpectedVersion, rules: Rules) -> Any:
    return rules.append(stream, records, expected)


def _is_late(options: Any) -> bool:
    """Either form of the deadline: a span of time, or a time."""
    match options.WhichOneof("deadline_option"):
        case "deadline":
            return bool(options.deadline.ToNanoseconds() <= 0)
        case "deadline_21_10_0":
            return bool(options.deadline_21_10_0.ToNanoseconds() <= time.time_ns())
        case _:
            return False


def _answer(batch: _Batch, result: Result) -> streams_pb2.BatchAppendResp:
    answer = streams_pb2.BatchAppendResp(correlation_id=batch.correlation, stream_identifier=batch.options.stream_identifier)
    if not isinstance(result, Written):
        answer.error.CopyFrom(_error(batch, result))
        return answer
    if result.revision >= 0:
        answer.success.current_revision = result.revision
    else:
        answer.success.no_stream.SetInParent()
    if result.position is None:
        answer.success.no_position.SetInParent()
    else:
        at = wire.position_on_wire(result.position)
        answer.success.position.commit_position = answer.success.position.prepare_position = at
    return answer


def _error(batch: _Batch, error: Exception) -> status_pb2.Status:
    """Clients decide by the type of the details."""
    code, details = _meaning(batch, error)
    status = status_pb2.Status(code=code, message=details.DESCRIPTOR.name)
    status.details.Pack(details)
    return status


def _meaning(batch: _Batch, error: Exception) -> tuple[Any, Any]:
    match error:
        case WrongExpectedVersion():
            return 6, _wrong(error)
        case StreamDeleted():
            return 5, shared_pb2.StreamDeleted(stream_identifier=batch.options.stream_identifier)
        case AppendTooLarge():
            return 3, shared_pb2.MaximumAppendSizeExceeded(maxAppendSize=MAX_APPEND)
        case TimeoutError():
            return 4, shared_pb2.Timeout()
        case StoreError():
            return 2, shared_pb2.Unknown()
        case _:
            return 3, shared_pb2.BadRequest(message=str(error))


def _wrong(error: WrongExpectedVersion) -> shared_pb2.WrongExpectedVersion:
    wrong = shared_pb2.WrongExpectedVersion()
    if error.actual is None:
        wrong.current_no_stream.SetInParent()
    else:
        wrong.current_stream_revision = error.actual
    match error.expected:
        case StreamState.NO_STREAM:
            wrong.expected_no_stream.SetInParent()
        case StreamState.ANY:
            wrong.expected_any.SetInParent()
        case StreamState.EXISTS:
            wrong.expected_stream_exists.SetInParent()
        case revision:
            assert isinstance(revision, int)
            wrong.expected_stream_position = revision
    return wrong
