"""Exported histories into a new store, on which no worker may run: what was done already must not be done again."""

from collections.abc import Iterable, Iterator
from itertools import groupby, islice
from typing import NamedTuple

import orjson

from process_manager.core.codec import dumps
from process_manager.core.identity import derive
from process_manager.core.messages import Json
from process_manager.core.records import NewRecord
from process_manager.errors import StoreError
from process_manager.interfaces.reading.histories import IMPORTED
from process_manager.interfaces.transfer.history_export import FORMAT
from process_manager.ports import MAX_APPEND, Block, EventStore, StreamState

BLOCKS = 100
"""Blocks in one `append_many`."""


class NotAnExport(Exception):
    """The file is no export, or not a whole one; the message names the line."""


class _Line(NamedTuple):
    number: int
    stream: str
    revision: int
    record: NewRecord


class HistoryImport:
    """Writes exported lines into a new store. Its first record, `pm.imported`, keeps workers away from it."""

    def __init__(self, store: EventStore) -> None:
        self.instances = 0
        self.records = 0
        self._store = store

    def read(self, lines: Iterable[bytes]) -> None:
        """Write all lines; `instances` and `records` count what was written. Raises NotAnExport, StoreError."""
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
