"""Reads one line of a file of events: our own JSON Lines, or CloudEvents.

Our own line holds `id`, `type`, `stream` and `data`, optionally `time` and `metadata`, and nothing else.

A CloudEvent goes by these rules: its id is uuid5(source, id); its stream is its attribute `stream` if it has one, else
`<last part of source>-<subject>`, or without a subject the last part of its source (source `/shop/orders`, subject `42`: `orders-42`);
its other attributes stand in the metadata as `ce-<name>`.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

import orjson

from process_manager.core.codec import decode, decode_json
from process_manager.core.identity import derive
from process_manager.core.messages import Command, Json, Message
from process_manager.core.records import NewRecord
from process_manager.errors import BadEvent, NewerFact, UndecodableMessage
from process_manager.ports import MAX_APPEND

LONGEST = 4 * MAX_APPEND
"""Bytes of a line. A longer line is refused without reading the rest of it into memory."""

MAX_EVENT = MAX_APPEND // 2
"""Bytes of an event. An instance's receipt embeds its input and goes into one append with the commands that answer it: half is for them."""

COMMAND = "is a command: only an instance gives commands; publish events"

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")

_OWN = {"id", "type", "stream", "data", "time", "metadata"}

_TAKEN = {"specversion", "id", "type", "time", "data", "stream", "datacontenttype"}


class Addressed(NamedTuple):
    """A record and the stream it is for."""

    stream: str
    record: NewRecord


def read_line(line: bytes) -> Addressed:
    """The record that a line describes, and its stream. Raises BadEvent."""
    raw = _object(line)
    return checked(_cloud_event(raw) if "specversion" in raw else _own(raw))


def checked(addressed: Addressed) -> Addressed:
    """The event, unchanged. Raises BadEvent where it is too large or its stream is reserved."""
    if addressed.record.size > MAX_EVENT:
        raise BadEvent(f"its type, data and metadata come to {addressed.record.size:,} bytes, an event may have {MAX_EVENT:,}")
    if addressed.stream.startswith(("pm.", "$")):
        raise BadEvent(f"the stream {addressed.stream!r} is reserved")
    return addressed


def checked_against(addressed: Addressed, messages: Mapping[str, type[Message]]) -> Addressed:
    """The event, unchanged. Raises BadEvent for a command of `messages`, and for data that its class there does not accept."""
    record = addressed.record
    cls = messages.get(record.type)
    if cls is None:
        return addressed
    if issubclass(cls, Command):
        raise BadEvent(f"{record.type} {COMMAND}")
    try:
        decode(cls, orjson.loads(record.metadata)["version"], record.data)
    except UndecodableMessage as error:
        raise BadEvent(f"its data is no {record.type}: {error.reason}") from error
    except NewerFact as error:
        raise BadEvent(str(error)) from error
    return addressed


def _object(line: bytes) -> Json:
    if len(line) > LONGEST:
        raise BadEvent(f"it is longer than {LONGEST:,} bytes")
    try:
        line.decode()
    except UnicodeDecodeError as error:
        raise BadEvent(f"it is not UTF-8 (byte {error.start + 1})") from error
    try:
        return decode_json("line", line)
    except UndecodableMessage as error:
        raise BadEvent(error.reason) from error


def _own(raw: Json) -> Addressed:
    unknown = sorted(raw.keys() - _OWN)
    if unknown:
        raise BadEvent(f"it has {unknown[0][:50]!r}, which is no attribute of a line: put it into data or metadata")
    metadata = raw.get("metadata")
    if not isinstance(metadata, dict | None):
        raise BadEvent("its metadata is not an object")
    return _addressed(raw, _text(raw, "stream"), _id(raw), metadata or {})


def _cloud_event(raw: Json) -> Addressed:
    source = _text(raw, "source")
    id_ = derive(source, str(_id_text(raw)))
    if "data_base64" in raw:
        raise BadEvent("it holds data_base64, and only JSON data can be published")
    if "stream" in raw:
        stream = _text(raw, "stream")
    else:
        last = re.split(r"[/:]", source.rstrip("/:"))[-1]
        stream = f"{last}-{_text(raw, 'subject')}" if "subject" in raw else last
    return _addressed(raw, stream, id_, {f"ce-{name}": value for name, value in raw.items() if name not in _TAKEN})


def _addressed(raw: Json, stream: str, id_: str, metadata: Json) -> Addressed:
    type_ = _text(raw, "type")
    if type_.startswith(("pm.", "$")):
        raise BadEvent(f"the type {type_!r} is reserved")
    data = raw.get("data", {})
    if not isinstance(data, dict):
        raise BadEvent("its data is not an object")
    time = _time(raw.get("time", metadata.get("time")))
    said = metadata | ({"time": time} if time else {})
    version = said.setdefault("version", 1)
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise BadEvent(f"its version {version!r} is not a number from 1 up")
    return Addressed(stream, NewRecord(id_, type_, orjson.dumps(data), orjson.dumps(said)))


def _text(raw: Json, name: str) -> str:
    value = raw.get(name)
    if value is None or value == "":
        raise BadEvent(f"it has no {name}")
    if not isinstance(value, str):
        raise BadEvent(f"its {name} is not text")
    if "\0" in value:
        raise BadEvent(f"its {name} holds a NUL character")
    return value


def _id_text(raw: Json) -> str:
    value = raw.get("id")
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if value is None or value == "":
        raise BadEvent("it has no id: published twice, it would stand there twice")
    return _text(raw, "id")


def _id(raw: Json) -> str:
    """A UUID as it is, anything else as the UUID that derives from it."""
    text = _id_text(raw)
    return text.lower() if _UUID.fullmatch(text.lower()) else derive(text)


def _time(value: Any) -> str | None:
    """An ISO time in UTC."""
    if value is None:
        return None
    try:
        time = datetime.fromisoformat(value)
        return time.astimezone(UTC).isoformat() if time.tzinfo else _no_zone(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise BadEvent(f"its time {value!r} is no ISO 8601 time") from error


def _no_zone(value: str) -> str:
    raise BadEvent(f"its time {value!r} has no zone: end it in Z or +01:00")
