"""Ids that anybody who decides the same thing derives again, and nobody else."""

from hashlib import sha1

_NAMESPACE = bytes.fromhex("6f1d5c0a4f0e5a7e9c4b8f6f2c1f7a11")
_VARIANT = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}


def derive(*parts: str | bytes) -> str:
    """A version 5 UUID (RFC 9562 §5.5) of these parts, each delimited by its length, as canonical text."""
    raw = [part.encode() if isinstance(part, str) else part for part in parts]
    lengths = ",".join([str(len(part)) for part in raw]).encode()
    text = sha1(b"".join([_NAMESPACE, lengths, b":", *raw]), usedforsecurity=False).hexdigest()
    return f"{text[:8]}-{text[8:12]}-5{text[13:16]}-{_VARIANT[text[16]]}{text[17:20]}-{text[20:32]}"
