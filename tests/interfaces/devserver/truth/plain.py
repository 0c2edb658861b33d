"""Answers as something that can be compared: what cannot repeat is replaced.

Positions become tokens in order of appearance, ids their labels, ticks and names of the run marks.
"""

import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc
from google.protobuf.descriptor import FieldDescriptor

from tests.interfaces.devserver.truth.protos import Json, shared_pb2

KEPT_TRAILERS = re.compile(
    r"^(exception|stream-name|group-name|expected-version|actual-version|maximum-append-size|"
    r"reason|required-metadata-properties|missing-.*|leader-endpoint-.*|login-name)$"
)
POSITION_FIELDS = {"commit_position", "prepare_position"}
ALL_ONES = 2**64 - 1
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[.\d]*(Z|[+-]\d\d:\d\d)?")


class Plain:
    """Remembers what it has replaced by what."""

    def __init__(self) -> None:
        self.run = uuid.uuid4().hex[:10]
        self.log: list[Json] = []
        self.tokens: dict[int, str] = {}
        self.labels: dict[str, str] = {}
        self._new_ids = 0

    def note(self, text: str, value: Any) -> None:
        self.log.append({"note": text, "value": value})

    @contextmanager
    def unrecorded(self) -> Iterator[None]:
        """What is asked inside leaves no trace in the record: for answers that depend on the moment."""
        log, tokens, labels, new_ids = len(self.log), dict(self.tokens), dict(self.labels), self._new_ids
        yield
        del self.log[log:]
        self.tokens, self.labels, self._new_ids = tokens, labels, new_ids

    def event_id(self, label: str) -> uuid.UUID:
        found = uuid.uuid5(uuid.NAMESPACE_OID, f"{self.run}/{label}")
        self.labels[str(found)] = label
        return found

    def token(self, position: int) -> Any:
        if position in {0, ALL_ONES}:
            return "all-ones" if position else 0
        return self.tokens.setdefault(position, f"p{len(self.tokens) + 1}")

    def text(self, text: str) -> str:
        text = text.replace(self.run, "RUN")
        text = re.sub(r"failed: '.*'", "failed: 'REASON'", text, flags=re.DOTALL)
        text = _TIME.sub("TIME", text)
        text = re.sub(r"C:(\d+)/P:(\d+)", lambda m: f"C:{self.token(int(m[1]))}/P:{self.token(int(m[2]))}", text)
        return _UUID.sub(lambda m: self.id(m[0]), text)

    def id(self, text: str) -> str:
        if text not in self.labels:
            self._new_ids += 1
            self.labels[text] = f"new-id-{self._new_ids}"
        return self.labels[text]

    def message(self, message: Any) -> Any:
        """A message of the protocol."""
        kind = message.DESCRIPTOR.full_name
        if kind == "event_store.client.UUID":
            return self._uuid(message)
        out: Json = {}
        for field, value in message.ListFields():
            if not _is_left_out(kind, field.name):
                out[field.name] = self._field(field, value)
        for oneof in message.DESCRIPTOR.oneofs:  # a zero inside a oneof says something
            chosen = message.WhichOneof(oneof.name)
            if chosen and chosen not in out:
                out[chosen] = 0
        return out

    def _uuid(self, message: Any) -> Any:
        if message.WhichOneof("value") != "structured":
            return self.id(message.string)
        high, low = message.structured.most_significant_bits, message.structured.least_significant_bits
        return {"structured": self.id(str(uuid.UUID(int=((high & ALL_ONES) << 64) | (low & ALL_ONES))))}

    def _field(self, field: Any, value: Any) -> Any:
        if field.name == "metadata":
            return {key: "TICKS" if key == "created" else self.text(value[key]) for key in sorted(value)}
        if field.name in POSITION_FIELDS or _is_position(field):
            return self.token(value)
        if hasattr(value, "append"):
            return [self._value(field, it) for it in value]
        return self._value(field, value)

    def _value(self, field: Any, value: Any) -> Any:
        match field.type:
            case FieldDescriptor.TYPE_MESSAGE:
                return self._any(value) if field.message_type.full_name == "google.protobuf.Any" else self.message(value)
            case FieldDescriptor.TYPE_BYTES:
                return self.text(value.decode("utf-8", "backslashreplace"))
            case FieldDescriptor.TYPE_STRING:
                return self.text(value)
            case FieldDescriptor.TYPE_ENUM:
                return field.enum_type.values_by_number[value].name
            case _:
                return "all-ones" if value == ALL_ONES else value

    def _any(self, value: Any) -> Json:
        holder = getattr(shared_pb2, value.type_url.rsplit(".", 1)[-1])
        return {"type_url": value.type_url, **self.message(holder.FromString(value.value))}

    def status(self, error: Any) -> Any:
        """How a call ended."""
        if error is None:
            return "OK"
        assert isinstance(error, grpc.RpcError)
        sent = error.trailing_metadata() or ()
        trailers = {key: "REASON" if key == "reason" else self.text(value) for key, value in sent if KEPT_TRAILERS.match(key)}
        return {"code": error.code().name, "details": self.text(error.details() or ""), "trailers": dict(sorted(trailers.items()))}


def _is_position(field: Any) -> bool:
    return bool(field.name.endswith("position") and field.type == FieldDescriptor.TYPE_UINT64 and "stream_position" not in field.name)


def _is_left_out(kind: str, name: str) -> bool:
    """What differs between versions, and a text of the real server's own runtime."""
    return (kind.endswith("Checkpoint") and name == "prepare_position") or (kind.endswith("BadRequest") and name == "message")
