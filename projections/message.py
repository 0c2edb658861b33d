"""A record as projections see it: decoded once, and only where somebody asks."""

from typing import TypeVar

import orjson

from process_manager.core.codec import decode, decode_json
from process_manager.core.facts import FACTS
from process_manager.core.messages import Json, Message as Model
from process_manager.core.metadata import read_metadata
from process_manager.core.records import Record
from process_manager.errors import NewerFact, UndecodableMessage
from projections.times import parse

M = TypeVar("M", bound=Model)

_COMMAND_MARK = b'"attempt":'


class Message:
    """A record of the log. `time` is its own, in microseconds since 1970; the store's where it carries none.

    For a record of an instance, `instance` is its stream, `process` and `key` the two parts of it.
    """

    __slots__ = ("_data", "metadata", "record", "time")

    def __init__(self, record: Record, metadata: Json, time: int) -> None:
        self.record = record
        self.metadata = metadata
        self.time = time
        self._data: Json | None = None

    @property
    def instance(self) -> str:
        return self.record.stream

    @property
    def process(self) -> str:
        return self.record.stream.partition("-")[0]

    @property
    def key(self) -> str:
        return self.record.stream.partition("-")[2]

    @property
    def data(self) -> Json:
        """The data as JSON; that of a fact in the shape that this version of the library writes.

        Raises UndecodableMessage, and NewerFact for a fact of a newer version.
        """
        if self._data is None:
            self._data = self._load()
        return self._data

    def decode(self, cls: type[M]) -> M:
        """The data as a message of this class. Raises UndecodableMessage, NewerFact."""
        return decode(cls, self.metadata.get("version", 1), self.record.data)

    def _load(self) -> Json:
        fact = FACTS.get(self.record.type)
        if fact is None:
            return decode_json(self.record.type, self.record.data)
        version = self.metadata.get("version", 1)
        if version > fact.fact_version:
            raise NewerFact(self.record.type, version, fact.fact_version)
        raw: Json = _loads(self.record)
        for upcaster in fact.upcasters[version - 1 :]:
            raw = upcaster(raw)
        return raw


def _loads(record: Record) -> Json:
    try:
        return orjson.loads(record.data)  # type: ignore[no-any-return]  # a fact is an object
    except orjson.JSONDecodeError as error:
        raise UndecodableMessage(record.type, f"it is not JSON ({error})") from error


def may_be_command(record: Record) -> bool:
    """Whether a record may be a command of an instance, at the price of a search; `issued_by_instance` is sure."""
    return _COMMAND_MARK in record.metadata


def issued_by_instance(message: Message) -> bool:
    """Whether a record is a command that the instance of its stream has issued."""
    metadata = message.metadata
    return metadata.get("instance") == message.record.stream and "step" in metadata and "run" in metadata


class Reader:
    """Makes messages of records. The facts of one turn carry the same metadata, which is decoded once."""

    def __init__(self) -> None:
        self._raw: bytes | None = None
        self._metadata: Json = {}

    def read(self, record: Record) -> Message:
        """The message of a record. Raises UndecodableMessage when its metadata cannot be read."""
        if record.metadata != self._raw:
            self._metadata = read_metadata(record.type, record.metadata)
            self._raw = record.metadata
        return Message(record, self._metadata, _time(record, self._metadata))


def _time(record: Record, metadata: Json) -> int:
    text = metadata.get("time")
    if text is None:
        return record.created
    try:
        return parse(text)
    except (TypeError, ValueError, OverflowError) as error:
        raise UndecodableMessage(record.type, f"its time {text!r} is no ISO time with a zone") from error
