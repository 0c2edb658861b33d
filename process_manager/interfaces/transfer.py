"""Instances' histories as JSON Lines, and back into a log of their own on which nothing may act.

The first line says what the others are; then comes a record a line, each instance whole, from its first record to its last.
"""

from collections.abc import Iterable, Iterator
from itertools import groupby, islice
from typing import NamedTuple

import orjson

from process_manager.core.codec import dumps
from process_manager.core.identity import derive
from process_manager.core.masking import Mask
from process_manager.core.messages import Json
from process_manager.core.records import NewRecord, Record
from process_manager.errors import StoreError
from process_manager.interfaces.histories import IMPORTED, RECEIPTS
from process_manager.ports import MAX_APPEND, Block, EventStore, StreamState

FORMAT = 1

BLOCKS = 100
"""Appends that are made at once."""


class NotAnExport(Exception):
    """The lines are no export; the message says which one is wrong."""


def export(store: EventStore, streams: Iterable[str], mask: Mask | None = None) -> Iterator[bytes]:
    """The lines of these instances, without their ends. Raises StreamNotFound."""
    yield orjson.dumps({"pm.export": FORMAT, "masked": mask is not None, "untaken": untaken(store)})
    for stream in streams:
        records = [_readable(record) for record in store.read_stream(stream)]
        yield from map(_as_line, mask.history(records) if mask else records)


def unmatched(store: EventStore, streams: Iterable[str], mask: Mask) -> list[str]:
    """The fields of a mask at which these instances have nothing to hide: mistyped, most likely. Raises StreamNotFound."""
    return mask.unmatched(_readable(record) for stream in streams for record in store.read_stream(stream))


def untaken(store: EventStore) -> dict[str, list[str]]:
    """By process the types that stand in the log and that no instance of it has taken: the whole log is read.

    A sample does not hold them, and code that handles one of them cannot be judged by the sample.
    """
    taken: dict[str, set[str]] = {}
    types: set[str] = set()
    for record in store.read_all():
        if record.type in RECEIPTS:
            taken.setdefault(record.stream.partition("-")[0], set()).add(orjson.loads(record.data)["input"]["type"])
        elif not record.type.startswith("pm."):
            types.add(record.type)
    return {process: sorted(types - known) for process, known in taken.items()}


def _readable(record: Record) -> Record:
    """Somebody else's record may be anything; what is not JSON is left empty."""
    try:
        orjson.loads(record.data), orjson.loads(record.metadata or b"null")
    except ValueError:
        return record._replace(data=b"{}", metadata=b"{}")
    return record


def _as_line(record: Record) -> bytes:
    return orjson.dumps({
        "stream": record.stream, "revision": record.revision, "id": record.id, "type": record.type,
        "data": orjson.Fragment(record.data), "metadata": orjson.Fragment(record.metadata or b"null"),
    })  # fmt: skip


class _Line(NamedTuple):
    number: int
    stream: str
    revision: int
    record: NewRecord


class Import:
    """Writes exported lines into a new log, behind the mark that keeps workers away."""

    def __init__(self, store: EventStore) -> None:
        self.instances = 0
        self.records = 0
        self._store = store

    def read(self, lines: Iterable[bytes]) -> None:
        """Raises NotAnExport, StoreError."""
        numbered = iter(enumerate(lines, 1))
        number, first = next(numbered, (1, b""))
        head = _object(number, first)
        if head.get("pm.export") != FORMAT or not isinstance(head.get("untaken"), dict):
            raise NotAnExport("line 1: it is no export, or one of another version: write it with pm export")
        data = dumps({"untaken": head["untaken"]})
        mark = NewRecord(derive(IMPORTED), IMPORTED, data, b'{"version":1}')
        self._store.append(Block(IMPORTED, [mark], StreamState.NO_STREAM))
        blocks = self._blocks(_records(numbered))
        while batch := list(islice(blocks, BLOCKS)):
            for answer in self._store.append_many(batch):
                if isinstance(answer, StoreError):
                    raise answer
            self.records += sum(len(block.records) for block in batch)

    def _blocks(self, lines: Iterable[_Line]) -> Iterator[Block]:
        for stream, history in groupby(lines, key=lambda line: line.stream):
            self.instances += 1
            block, size, start = list[NewRecord](), 0, 0
            for at, line in enumerate(history):
                if line.revision != at:
                    raise NotAnExport(f"line {line.number}: revision {line.revision} of {stream}, where {at} comes next")
                if size + line.record.size > MAX_APPEND:
                    yield _block(stream, block, start)
                    block, size, start = [], 0, at
                block.append(line.record)
                size += line.record.size
            yield _block(stream, block, start)


def _block(stream: str, records: list[NewRecord], start: int) -> Block:
    return Block(stream, records, start - 1 if start else StreamState.NO_STREAM)


def _records(numbered: Iterable[tuple[int, bytes]]) -> Iterator[_Line]:
    for number, line in numbered:
        raw = _object(number, line)
        try:
            record = NewRecord(raw["id"], raw["type"], dumps(raw["data"]), dumps(raw["metadata"]))
            yield _Line(number, raw["stream"], raw["revision"], record)
        except LookupError as error:
            raise NotAnExport(f"line {number}: it has no {error}") from error


def _object(number: int, line: bytes) -> Json:
    try:
        raw = orjson.loads(line)
    except ValueError as error:
        raise NotAnExport(f"line {number}: it is not JSON ({error})") from error
    if not isinstance(raw, dict):
        raise NotAnExport(f"line {number}: it is not a JSON object")
    return raw
