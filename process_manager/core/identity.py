"""Ids that derive from content: who decides the same thing again gets the same id, any other content gets another one."""

from hashlib import sha1

from process_manager.core.records import NewRecord

_NAMESPACE = bytes.fromhex("6f1d5c0a4f0e5a7e9c4b8f6f2c1f7a11")
_VARIANT = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}


def derive(*parts: str) -> str:
    """A version 5 UUID (RFC 9562 §5.5) of these texts, each delimited by its length, as canonical text."""
    return _uuid("".join([f"{len(part)}:{part}" for part in parts]).encode())


def new_record(stream: str, cause: str, ordinal: str, type_: str, data: bytes, metadata: bytes) -> NewRecord:
    """A record whose id derives from its stream, its cause, its ordinal among several of one cause, and its bytes."""
    head = f"{len(stream)}:{stream}{len(cause)}:{cause}{len(ordinal)}:{ordinal}{len(type_)}:{type_}{len(data)}:"
    return NewRecord(_uuid(head.encode() + data + metadata), type_, data, metadata)


def _uuid(name: bytes) -> str:
    text = sha1(_NAMESPACE + name, usedforsecurity=False).hexdigest()
    return f"{text[:8]}-{text[8:12]}-5{text[13:16]}-{_VARIANT[text[16]]}{text[17:20]}-{text[20:32]}"
