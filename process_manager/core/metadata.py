"""What stands beside a record's data: the version of its type, and when it happened."""

from datetime import UTC, datetime
from typing import Any

import orjson

from process_manager.core.messages import Json
from process_manager.core.records import Record, moment
from process_manager.errors import UndecodableMessage


def read_metadata(type_: str, metadata: bytes) -> Json:
    """The metadata of a record, {} where there is none. Raises UndecodableMessage when it is not a JSON object."""
    if not metadata:
        return {}
    try:
        value: Any = orjson.loads(metadata)
    except orjson.JSONDecodeError as error:
        raise UndecodableMessage(type_, f"its metadata is not JSON ({error})") from error
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise UndecodableMessage(type_, "its metadata is not a JSON object")
    return value


def version_of(record: Record, metadata: Json) -> int:
    """The version of its type, 1 where it says none. Raises UndecodableMessage for what is no version."""
    version = metadata.get("version", 1)
    if not isinstance(version, int) or version < 1:
        raise UndecodableMessage(record.type, f"its version is {version!r}, not a number from 1 up")
    return version


def time_of(record: Record, metadata: Json) -> datetime:
    """When a message says that it happened, else when it was stored. Raises UndecodableMessage for a time without a zone."""
    text = metadata.get("time")
    if text is None:
        return moment(record.created)
    try:
        time = datetime.fromisoformat(text)
        if time.tzinfo is not None:
            return time.astimezone(UTC)
    except (TypeError, ValueError, OverflowError) as error:
        raise UndecodableMessage(record.type, f"its time {text!r} is no ISO time") from error
    raise UndecodableMessage(record.type, f"its time {text!r} has no zone")


def readable_time(record: Record) -> datetime:
    """As `time_of`; for a record whose time or metadata cannot be read, when it was stored."""
    try:
        return time_of(record, read_metadata(record.type, record.metadata))
    except UndecodableMessage:
        return moment(record.created)
