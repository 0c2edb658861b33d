"""Instances as they stand in the store, and a cache of those in use. A cached one is a guess until an append confirms it."""

from collections.abc import Iterator
from itertools import pairwise

from process_manager.core.block import read_fact
from process_manager.core.definition import Definition
from process_manager.core.facts import Receipt, SnapshotTaken
from process_manager.core.fold import fold
from process_manager.core.instance import Instance
from process_manager.core.records import Record
from process_manager.core.snapshot import references, restore
from process_manager.errors import MessageError, StreamNotFound, UndecodableMessage
from process_manager.ports import EventStore

NEAR = 100
"""Revisions so close together are read in one go."""

CACHED = 20_000
"""Instances that stay in memory."""


class Instances:
    """Loads instances and keeps the most recently used ones."""

    def __init__(self, store: EventStore) -> None:
        self._store = store
        self._cache: dict[str, Instance] = {}

    def get(self, definition: Definition, key: str, *, likely_new: bool = False) -> Instance:
        """The instance as cached, else as stored; `likely_new` takes it for one without a stream, which only an append at NO_STREAM
        confirms. Raises NewerFact, UndecodableMessage."""
        cached = self._cache.get(f"{definition.name}-{key}")
        if cached is not None:
            return cached
        return Instance(definition.name, key) if likely_new else load(self._store, definition, key)

    def put(self, instance: Instance) -> None:
        """Keep what an append has just confirmed."""
        self._cache.pop(instance.stream, None)
        self._cache[instance.stream] = instance
        if len(self._cache) > CACHED:
            del self._cache[next(iter(self._cache))]

    def drop(self, stream: str) -> None:
        self._cache.pop(stream, None)

    def clear(self) -> None:
        self._cache.clear()

    def has_taken(self, instance: Instance, id_: str, position: int) -> bool:
        """Whether this input has its receipt: from the state, and below its floor from the stream itself."""
        known = instance.knows(id_, position)
        return self._in_stream(instance, id_, position) if known is None else known

    def _in_stream(self, instance: Instance, id_: str, position: int) -> bool:
        """A receipt stands behind its input in the log, so the search ends at the input's position."""
        for record in self._store.read_stream(instance.stream, backwards=True):
            if record.position <= position:
                return False
            if id_.encode() in record.data:
                fact = read_fact(record)
                if isinstance(fact, Receipt) and fact.input.id == id_:
                    return True
        return False


def load(store: EventStore, definition: Definition, key: str) -> Instance:
    """Fold an instance from its stream, from its newest usable snapshot on.

    Raises NewerFact, and UndecodableMessage when the facts, or the definition's own state over them, cannot be folded.
    """
    tail: list[Record] = []
    instance = Instance(definition.name, key)
    try:
        for record in store.read_stream(instance.stream, backwards=True):
            restored = _restored(store, definition, key, record) if record.type == SnapshotTaken.fact_type else None
            if restored is not None:
                instance = restored
                break
            tail.append(record)
    except StreamNotFound:
        return instance
    return _folded(definition, instance, tail)


def _folded(definition: Definition, instance: Instance, newest_first: list[Record]) -> Instance:
    try:
        return fold(instance, ((read_fact(record), record.revision) for record in reversed(newest_first)), definition.evolve)
    except MessageError:
        raise
    except Exception as error:  # a user's @applies method, or facts that contradict each other
        raise UndecodableMessage(instance.stream, f"its facts cannot be folded ({type(error).__name__}: {error})") from error


def _restored(store: EventStore, definition: Definition, key: str, record: Record) -> Instance | None:
    fact = read_fact(record)
    if not isinstance(fact, SnapshotTaken) or fact.fold_version != definition.fold_version:
        return None
    records = {each.revision: each for each in _at(store, record.stream, sorted(references(fact)))}
    return restore(fact, definition.fold_version, records, definition.name, key)


def _at(store: EventStore, stream: str, revisions: list[int]) -> Iterator[Record]:
    """The records at these revisions, neighbours in one read."""
    while revisions:
        gaps = (index for index, (one, next_) in enumerate(pairwise(revisions), 1) if next_ - one > NEAR)
        cut = next(gaps, len(revisions))
        wanted = set(revisions[:cut])
        span = revisions[cut - 1] - revisions[0] + 1
        yield from (each for each in store.read_stream(stream, start=revisions[0], limit=span) if each.revision in wanted)
        revisions = revisions[cut:]
