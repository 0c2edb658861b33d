"""Streams.Read: reads that end; those that follow are handed on to `subscribing`."""

from collections.abc import Iterator
from itertools import chain, islice
from typing import Any

from esdbclient.protos.Grpc import streams_pb2

from process_manager.core.records import Record
from process_manager.errors import StreamNotFound
from process_manager.interfaces.devserver import wire
from process_manager.interfaces.devserver.filters import matcher
from process_manager.interfaces.devserver.log import Log
from process_manager.interfaces.devserver.messages import Messages
from process_manager.interfaces.devserver.statuses import invalid
from process_manager.interfaces.devserver.subscribing import Subscribing
from process_manager.interfaces.devserver.wire import LAST_REVISION

BACKWARDS = streams_pb2.ReadReq.Options.Backwards


class Reading:
    """The call, over the log."""

    def __init__(self, log: Log, subscribing: Subscribing) -> None:
        self._log = log
        self._subscribing = subscribing

    def read(self, request: streams_pb2.ReadReq, context: Any) -> Iterator[streams_pb2.ReadResp]:
        options = request.options
        if options.WhichOneof("count_option") == "subscription":
            return self._subscribing.subscribe(options, context)
        if not options.count:
            raise invalid("A read of 0 events is none.")
        messages = Messages(self._log, options)
        if options.WhichOneof("stream_option") == "stream":
            return self._stream(options, messages)
        return map(messages.event, islice(self._all(options), _limit(options)))

    def _stream(self, options: Any, messages: Messages) -> Iterator[streams_pb2.ReadResp]:
        stream = wire.stream_name(options.stream.stream_identifier)
        start = _start(options)
        try:
            records = islice(self._log.stream(stream, start, backwards=options.read_direction == BACKWARDS), _limit(options))
            yield from map(messages.event, records)
        except StreamNotFound:
            yield messages.not_found(stream)
            return
        if options.control_option.compatibility:
            yield streams_pb2.ReadResp(last_stream_position=self._log.last_revision(stream))

    def _all(self, options: Any) -> Iterator[Record]:
        matches = matcher(options.filter if options.WhichOneof("filter_option") == "filter" else None)
        return filter(matches, self._backwards(options.all) if options.read_direction == BACKWARDS else self._forwards(options.all))

    def _forwards(self, at: Any) -> Iterator[Record]:
        """Inclusive of the position."""
        match at.WhichOneof("all_option"):
            case "position":
                after = self._log.position(at.position.commit_position) - 1
            case "end":
                after = self._log.store.last_position()
            case _:
                after = -1
        return chain.from_iterable(self._log.forwards(max(after, -1)))

    def _backwards(self, at: Any) -> Iterator[Record]:
        """Exclusive of the position."""
        match at.WhichOneof("all_option"):
            case "position":
                return self._log.backwards(self._log.position(at.position.commit_position))
            case "end":
                return self._log.backwards(None)
            case _:
                return iter(())


def _limit(options: Any) -> int:
    return int(min(options.count, LAST_REVISION))


def _start(options: Any) -> int | None:
    """The revision to read from; None for the end."""
    match options.stream.WhichOneof("revision_option"):
        case "revision":
            return int(options.stream.revision)
        case "end" if options.read_direction == BACKWARDS:
            return None
        case "end":
            raise invalid("A stream cannot be read forwards from its end.")
        case _:
            return 0
