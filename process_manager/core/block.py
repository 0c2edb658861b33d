"""Lays out facts as the records of one append, and reads records as facts."""

from datetime import datetime
from typing import Any

from process_manager.core.codec import dumps
from process_manager.core.facts import FACTS, Fact, Foreign, StepStarted, decode_fact, encode_fact
from process_manager.core.identity import new_record
from process_manager.core.instance import Instance
from process_manager.core.messages import Json
from process_manager.core.metadata import read_metadata
from process_manager.core.records import NewRecord, Record
from process_manager.errors import UndecodableMessage


def command_record(instance: Instance, cause: str, now: datetime, ordinal: str, **fields: Any) -> tuple[NewRecord, StepStarted]:
    """A command as a record, whose metadata names its step, run and attempt; and the StepStarted fact that this record stands for."""
    metadata: dict[str, Any] = {
        "$correlationId": instance.correlation,
        "$causationId": cause,
        "time": now,
        "version": fields["command_version"],
        "process": instance.process,
        "instance": instance.stream,
        "step": fields["step"],
        "run": fields["run"],
        "attempt": fields["attempt"],
    }
    for name in ("due", "operation", "replaces", "undoes", "keep", "undoable"):
        if fields[name]:
            metadata[name] = fields[name]
    record = new_record(instance.stream, cause, ordinal, fields["type"], fields["data"], dumps(metadata))
    return record, StepStarted(id=record.id, **fields)


def fact_metadata(correlation: str, cause: str, now: datetime, version: int) -> bytes:
    """The metadata of a fact, as bytes. It is the same for all facts of one cause."""
    return dumps({"$correlationId": correlation, "$causationId": cause, "time": now, "version": version})


def fact_record(stream: str, cause: str, ordinal: str, fact: Fact, metadata: bytes) -> NewRecord:
    """A fact as a record."""
    data = encode_fact(fact)
    return new_record(stream, cause, ordinal, fact.fact_type, data, metadata)


def is_command(record: Record) -> bool:
    """Whether a record is a command in the stream of the instance that gave it. Its metadata is searched as bytes, not decoded."""
    return b'"step":' in record.metadata and b'"instance":' + dumps(record.stream) in record.metadata


def read_fact(record: Record) -> Fact:
    """A record of an instance's stream as the fact it is. Raises NewerFact, UndecodableMessage."""
    if record.type in FACTS or record.type.startswith("pm."):
        return decode_fact(record.type, read_metadata(record.type, record.metadata).get("version", 1), record.data)
    try:
        return _step_started(record, read_metadata(record.type, record.metadata))
    except (KeyError, TypeError, ValueError, UndecodableMessage):
        return Foreign(type=record.type)


def _step_started(record: Record, metadata: Json) -> StepStarted:
    due = metadata.get("due")
    return StepStarted(
        id=record.id,
        step=metadata["step"],
        run=metadata["run"],
        attempt=metadata["attempt"],
        type=record.type,
        command_version=metadata.get("version", 1),
        data=record.data,
        due=due and datetime.fromisoformat(due),
        operation=metadata.get("operation", ""),
        replaces=metadata.get("replaces", ""),
        undoes=metadata.get("undoes", ""),
        keep=metadata.get("keep", False),
        undoable=metadata.get("undoable", False),
    )
