"""What Streams.Read answers with."""

from typing import Any

from esdbclient.protos.Grpc import streams_pb2

from process_manager.core.records import Record
from process_manager.interfaces.devserver import wire
from process_manager.interfaces.devserver.log import Log

Answer = streams_pb2.ReadResp

CAUGHT_UP = Answer(caught_up=Answer.CaughtUp())


class Messages:
    """Builds the messages of one call, in the form of ids that it asked for."""

    def __init__(self, log: Log, options: Any) -> None:
        form = options.uuid_option.WhichOneof("content")
        if form is None:
            raise ValueError("a read says in which form it wants ids")
        self._structured = form == "structured"
        self._links = bool(options.resolve_links)
        self._log = log

    def event(self, record: Record) -> Answer:
        """A record, resolved where the call asked for that."""
        event, link = self._log.resolve(record, links=self._links)
        message = Answer()
        for name, found in (("event", event), ("link", link)):
            if found:
                wire.fill(getattr(message.event, name), found, found.position, structured=self._structured)
        message.event.commit_position = wire.position_on_wire(record.position)
        return message

    @staticmethod
    def not_found(stream: str) -> Answer:
        return Answer(stream_not_found=Answer.StreamNotFound(stream_identifier=wire.on_wire(stream)))

    @staticmethod
    def confirmation(id_: str) -> Answer:
        return Answer(confirmation=Answer.SubscriptionConfirmation(subscription_id=id_))

    @staticmethod
    def checkpoint(position: int) -> Answer:
        at = wire.position_on_wire(position)
        return Answer(checkpoint=Answer.Checkpoint(commit_position=at, prepare_position=at))
