"""A delivered command, decoded, and the records of the events that it leads to."""

from datetime import datetime

from process_manager.core.codec import decode, dumps, encode
from process_manager.core.identity import new_record
from process_manager.core.messages import Command, Event
from process_manager.core.metadata import read_metadata, time_of, version_of
from process_manager.core.records import NewRecord
from process_manager.errors import MessageError
from process_manager.ports import Delivery
from process_manager.runtime.handlers import Call, Handler


class Received:
    """A delivered command, decoded once, with what became of it so far."""

    __slots__ = (
        "attempt", "command", "correlation", "delivery", "error", "first", "handler", "id", "known", "not_before", "operation", "overtime",
        "time", "tries",
    )  # fmt: skip

    def __init__(self, delivery: Delivery, handler: Handler) -> None:
        """Raises UndecodableMessage, NewerFact, and MessageError for a command that no instance gave."""
        record = delivery.record
        metadata = read_metadata(record.type, record.metadata)
        if metadata.get("instance") != record.stream:
            raise MessageError(f"{record.stream} is no instance that gave this command: publish the event that a process gives it for")
        self.delivery = delivery
        self.handler = handler
        self.id = record.id
        self.command: Command = decode(handler.command, version_of(record, metadata), record.data)
        self.time = time_of(record, metadata)
        self.operation = str(metadata.get("operation") or record.id)
        self.first = self.operation == record.id  # the first attempt of its operation
        self.correlation = str(metadata.get("$correlationId") or record.id)
        self.attempt = metadata.get("attempt", 1)
        self.known = False  # what it led to was recorded before
        self.tries = 0  # that failed
        self.error = ""  # of the last one
        self.not_before = 0.0  # on the runner's monotonic clock
        self.overtime = 0.0  # the same: when its call takes longer than it may

    @property
    def position(self) -> int:
        return self.delivery.record.position

    def call(self, now: datetime) -> Call:
        """What a handler may know about the command's delivery."""
        return Call(self.operation, self.id, self.attempt, self.correlation, now)


def asked_record(stream: str, received: Received, now: datetime) -> NewRecord:
    """The record that a command's handler has asked for an answer, which somebody else is to give."""
    metadata = {"$correlationId": received.correlation, "$causationId": received.id, "time": now, "operation": received.operation}
    return new_record(stream, received.id, "", "pm.asked", b"{}", dumps(metadata))


def event_record(stream: str, received: Received, ordinal: int, event: Event, answers: str, now: datetime) -> NewRecord:
    """An event as the record that a command led to."""
    data = encode(event)
    metadata = dumps(
        {
            "$correlationId": received.correlation,
            "$causationId": answers or received.id,
            "time": now,
            "version": event.message_version,
            "operation": received.operation,
        }
    )
    return new_record(stream, received.id, str(ordinal), event.message_type, data, metadata)
