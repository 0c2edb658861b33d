"""Publishes events so that publishing them again changes nothing: read a stream, leave out what it holds, append at its exact version."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime

import orjson

from process_manager.core.codec import encode
from process_manager.core.facts import FACTS
from process_manager.core.identity import new_record
from process_manager.core.messages import Message
from process_manager.core.records import NewRecord, Record
from process_manager.errors import StoreError, StreamNotFound, WrongExpectedVersion
from process_manager.interfaces.publishing.event_lines import Addressed
from process_manager.ports import MAX_APPEND, Block, EventStore, StreamState

REMEMBERED = 100_000
"""Ids of records kept in memory between batches; a stream that is forgotten is read again."""

BATCH = 1_000
BATCH_BYTES = 8 * 1024 * 1024

ATTEMPTS = 20
"""How often an append is tried when somebody else keeps appending to the same stream."""


def addressed(stream: str, message: Message, time: datetime) -> Addressed:
    """A message as a record for a stream. Its id derives from stream and content, so the same message made again is the same record."""
    metadata = orjson.dumps({"time": time, "version": message.message_version})
    return Addressed(stream, new_record(stream, "", "0", message.message_type, encode(message), metadata))


def batches(events: Iterable[Addressed]) -> Iterator[list[Addressed]]:
    """Events in pieces of at most `BATCH` events and about `BATCH_BYTES`."""
    batch: list[Addressed] = []
    size = 0
    for event in events:
        batch.append(event)
        size += event.record.size
        if len(batch) >= BATCH or size > BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


class Publisher:
    """Publishes batches so that the log keeps their order; memory is bounded by the batch and by `REMEMBERED`.

    A stream that comes back after another one begins a new `append_many`, for the order's sake: many streams are quick, a few that take
    turns are not. What a stream holds is read through `looked_at`, which may refuse it.
    """

    def __init__(self, store: EventStore, looked_at: Callable[[Iterable[Record]], Iterable[Record]] = iter) -> None:
        self.published = 0
        self.known = 0  # events that their streams held already
        self.misplaced: Counter[str] = Counter()  # events published into streams of instances, by stream
        self._store = store
        self._looked_at = looked_at
        self._streams: dict[str, _Stream] = {}
        self._remembered = 0

    def publish(self, batch: Iterable[Addressed]) -> None:
        """Append what is new. Raises StoreError."""
        wave: dict[str, list[NewRecord]] = {}
        sizes: dict[str, int] = {}
        newest = ""
        for stream, record in batch:
            again = stream in wave and stream != newest
            if again or sizes.get(stream, 0) + record.size > MAX_APPEND:
                self._append(wave)
                wave, sizes = {}, {}
            wave.setdefault(stream, []).append(record)
            sizes[stream] = sizes.get(stream, 0) + record.size
            newest = stream
        self._append(wave)

    def _append(self, wave: dict[str, list[NewRecord]]) -> None:
        """One `append_many`, again for those streams where somebody else was first."""
        offered, published = sum(map(len, wave.values())), self.published
        for _ in range(ATTEMPTS):
            blocks = [block for stream, records in wave.items() if (block := self._block(stream, records)) is not None]
            if not blocks:
                break
            conflicts = self._write(blocks)
            wave = {stream: wave[stream] for stream in conflicts}
            if not wave:
                break
        else:
            raise StoreError(f"others keep appending to {', '.join(wave)}: publish again")
        self.known += offered - (self.published - published)
        self._forget()

    def _block(self, stream: str, records: Sequence[NewRecord]) -> Block | None:
        state = self._state(stream)
        new = {record.id: record for record in records if _key(record.id) not in state.ids}
        expected = StreamState.NO_STREAM if state.revision is None else state.revision
        return Block(stream, list(new.values()), expected) if new else None

    def _write(self, blocks: Sequence[Block]) -> list[str]:
        conflicts = []
        for block, answer in zip(blocks, self._store.append_many(blocks), strict=True):
            if isinstance(answer, WrongExpectedVersion):
                self._remembered -= len(self._streams.pop(block.stream).ids)
                conflicts.append(block.stream)
            elif isinstance(answer, StoreError):
                raise answer
            else:
                self.published += len(block.records)
                if self._streams[block.stream].of_instance:
                    self.misplaced[block.stream] += len(block.records)
                self._note(self._streams[block.stream], answer.revision, [record.id for record in block.records])
        return conflicts

    def _state(self, stream: str) -> "_Stream":
        """What a stream holds; what is remembered is confirmed by the append, or by nothing to append."""
        state = self._streams.pop(stream, None)
        if state is None:
            state = _Stream()
            try:
                for record in self._looked_at(self._store.read_stream(stream)):
                    self._note(state, record.revision, [record.id])
                    state.of_instance = state.of_instance or record.type in FACTS
            except StreamNotFound:
                pass
        self._streams[stream] = state
        return state

    def _note(self, state: "_Stream", revision: int, ids: Sequence[str]) -> None:
        before = len(state.ids)
        state.ids.update(map(_key, ids))
        state.revision = revision
        self._remembered += len(state.ids) - before

    def _forget(self) -> None:
        while self._remembered > REMEMBERED and len(self._streams) > 1:
            self._remembered -= len(self._streams.pop(next(iter(self._streams))).ids)


class _Stream:
    """A stream's revision, the ids in it, and whether a process keeps its facts there."""

    __slots__ = ("ids", "of_instance", "revision")

    def __init__(self) -> None:
        self.revision: int | None = None
        self.ids: set[bytes] = set()
        self.of_instance = False


def _key(id_: str) -> bytes:
    return bytes.fromhex(id_.replace("-", ""))
