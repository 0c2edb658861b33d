"""Histories of instances, read from a log: which streams are instances', and what facts they hold."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import datetime

import orjson

from process_manager.core import facts
from process_manager.core.block import read_fact
from process_manager.core.facts import FACTS, Fact, Receipt
from process_manager.core.fold import fold
from process_manager.core.instance import Instance
from process_manager.core.messages import Json
from process_manager.core.records import Record
from process_manager.errors import MessageError
from process_manager.ports import EventStore, Filter

FIRST = frozenset(fact.fact_type for fact in (facts.Started, facts.InputKept, facts.Suspended))
"""The facts with which an instance may begin."""

RECEIPTS = frozenset(type_ for type_, fact in FACTS.items() if issubclass(fact, Receipt))
"""Types of the facts that hold an input."""

IMPORTED = "pm.imported"
"""The first record of a log that holds imported histories: no worker may run on it."""


def imported(store: EventStore) -> Json | None:
    """What `pm import` noted about the log that the histories come from; None where this log holds no imported histories."""
    first = next(store.read_all(limit=1), None)
    return orjson.loads(first.data) if first is not None and first.type == IMPORTED else None


def instances(store: EventStore, process: str = "") -> Iterator[str]:
    """The streams of a process's instances, or of all instances, in the order in which they began. Their names stay in memory.

    An instance is recognised by its first fact, not by revision 0: a stream may hold other records before it.
    """
    found: set[str] = set()
    for record in store.read_all(where=Filter(types=FIRST)):
        if record.stream not in found and record.stream.startswith(f"{process}-" if process else ""):
            found.add(record.stream)
            yield record.stream


def is_instance(store: EventStore, stream: str) -> bool:
    """Whether a stream is an instance's: it holds an input that was taken. Raises StreamNotFound."""
    return any(record.type in RECEIPTS for record in store.read_stream(stream))


def find_command(store: EventStore, id_: str) -> Record | None:
    """The command with this id; None where no instance gave one. The log is searched from its end."""
    found = (record for record in store.read_all(backwards=True) if record.id == id_ and not record.type.startswith("pm."))
    record = next(found, None)
    return record if record is not None and isinstance(read_fact(record), facts.StepStarted) else None


def read_facts(records: Iterable[Record]) -> Iterator[tuple[Fact, int]]:
    """An instance's records as pairs of fact and revision. Raises MessageError for a record that cannot be read."""
    return ((read_fact(record), record.revision) for record in records)


def without_class(store: EventStore, stream: str) -> Instance:
    """An instance as far as its stream can be read, folded without its class: all but the definition's own state. Raises StoreError."""
    process, _, key = stream.partition("-")
    instance = Instance(process, key)
    with suppress(MessageError):
        fold(instance, read_facts(store.read_stream(stream)))
    return instance


def until(store: EventStore, stream: str, last: int | None = None, before: datetime | None = None) -> Iterator[tuple[Fact, int]]:
    """The facts of an instance with their revisions: up to and including revision `last`, only what was decided before the time `before`.

    Raises StreamNotFound, MessageError.
    """
    for fact, revision in read_facts(store.read_stream(stream, limit=None if last is None else last + 1)):
        if before is not None and isinstance(fact, Receipt) and fact.now >= before:
            return
        yield fact, revision


def followed(store: EventStore, stream: str) -> Iterator[list[tuple[Fact, int]]]:
    """The facts of an instance in batches: first those that are there, then without end those that are appended. Raises StreamNotFound."""
    start = 0
    while True:
        seen = store.last_position()
        if piece := list(read_facts(store.read_stream(stream, start=start))):
            start = piece[-1][1] + 1
            yield piece
        store.wait(seen, timeout=1.0)
