"""Messages to JSON bytes and back. Decoding checks everything, since anybody may have written the bytes."""

import re
from collections.abc import Callable
from typing import Any

import orjson
from pydantic import ValidationError
from typing_extensions import TypeVar

from process_manager.core.messages import Json, Message
from process_manager.errors import NewerFact, UndecodableMessage

M = TypeVar("M", bound=Message)

MAX_DEPTH = 100
"""How deep arrays and objects may nest. A receipt embeds its input, and orjson reads 1,024 levels."""

_LONG_NUMBER = re.compile(rb"[0-9]{19}")
_STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*"')


def dumps(value: object, default: Callable[[Any], Any] | None = None) -> bytes:
    """JSON bytes that may be kept for long. They are a copy: what orjson returns holds 4 KiB of memory, however short it is."""
    return bytes(memoryview(orjson.dumps(value, default=default)))


def encode(message: Message) -> bytes:
    """The JSON of a message, fields in the order of the class."""
    return dumps(message.__pydantic_serializer__.to_python(message, mode="json"))


def decode_json(type_: str, data: bytes) -> Json:
    """A JSON object that can be embedded in a fact and read again unchanged. Raises UndecodableMessage."""
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise UndecodableMessage(type_, f"it is not JSON ({error})") from error
    if not isinstance(value, dict):
        raise UndecodableMessage(type_, "it is not a JSON object")
    if data.count(b"{") + data.count(b"[") > MAX_DEPTH and _depth(data) > MAX_DEPTH:
        raise UndecodableMessage(type_, f"it is nested deeper than {MAX_DEPTH} levels")
    if _LONG_NUMBER.search(data) and not _numbers_fit(data):
        raise UndecodableMessage(type_, "it holds a whole number beyond 64 bits: write it as a string")
    return value


def _depth(data: bytes) -> int:
    deepest = depth = 0
    for byte in _STRINGS.sub(b"", data):
        if byte in b"{[":
            depth += 1
            deepest = max(deepest, depth)
        elif byte in b"}]":
            depth -= 1
    return deepest


def _numbers_fit(data: bytes) -> bool:
    whole = re.findall(rb"(?<![0-9.eE+])-?[0-9]{19,}(?![0-9.eE])", _STRINGS.sub(b"", data))
    return all(-(2**63) <= int(number) < 2**64 for number in whole)


def decode(cls: type[M], version: int, data: bytes) -> M:
    """The message of this class; `version` says which upcasters it still needs.

    Raises UndecodableMessage, and NewerFact for a version that this class does not know yet.
    """
    if version > cls.message_version:
        raise NewerFact(cls.message_type, version, cls.message_version)
    try:
        if version == cls.message_version:
            return cls.model_validate_json(data)
        return cls.model_validate_json(orjson.dumps(_upcast(cls, version, decode_json(cls.message_type, data))))
    except (ValidationError, ValueError, KeyError, TypeError) as error:
        raise UndecodableMessage(cls.message_type, _first_line(error)) from error


def _upcast(cls: type[Message], version: int, data: Json) -> Json:
    for upcaster in cls.upcasters[version - 1 :]:
        data = upcaster(data)
    return data


def _first_line(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return "; ".join(f"{'.'.join(map(str, each['loc'])) or 'it'}: {each['msg']}" for each in error.errors(include_url=False)[:3])
    return f"{type(error).__name__}: {error}"
