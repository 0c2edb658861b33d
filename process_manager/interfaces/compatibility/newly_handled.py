"""Events in a log that a candidate handles and that no recorded instance took, as the old definition did not handle their type."""

from collections.abc import Iterator

from process_manager.core.codec import decode
from process_manager.core.definition import Definition
from process_manager.core.facts import Fact, Input, Receipt
from process_manager.core.metadata import read_metadata
from process_manager.core.records import Record
from process_manager.errors import UndecodableMessage
from process_manager.interfaces.reading.histories import imported
from process_manager.ports import EventStore, Filter
from process_manager.runtime.router import input_of

END = 2**63
"""Behind every position of a log."""


class NewlyHandled:
    """First, `watched` passes the recorded facts through and notes from which position on each type was taken. Then `inputs` finds the
    events of a type before that position. Events older than the first input of the process do not count: they were not meant for it.
    """

    def __init__(self, store: EventStore, definition: Definition) -> None:
        self._store = store
        self._definition = definition
        self._first: dict[str, int] = {}  # by type, the lowest position at which one was taken

    def watched(self, recorded: Iterator[tuple[Fact, int]]) -> Iterator[tuple[Fact, int]]:
        """The same facts, passed through. Call it for every instance before `inputs`."""
        first = self._first
        for each in recorded:
            fact = each[0]
            if isinstance(fact, Receipt) and fact.input.position < first.get(fact.input.type, END):
                first[fact.input.type] = fact.input.position
            yield each

    def inputs(self) -> dict[str, list[Input]]:
        """The newly handled events by instance stream, in the order of the log; under "" those that are routed by `$correlationId`."""
        found: dict[str, list[Input]] = {}
        for record in self._records():
            handled, route = self._definition.handled[record.type], self._definition.routes[record.type]
            try:
                taken = input_of(record, read_metadata(record.type, record.metadata))
                key = "" if route.by_correlation else route.key(decode(handled.event, taken.version, taken.data))
            except UndecodableMessage:
                continue  # a worker would park it
            stream = f"{self._definition.name}-{key}" if key else ""
            found.setdefault(stream, []).append(taken)
        return found

    def hidden(self) -> list[str]:
        """For imported histories: newly handled types of which the original log has events, while the export holds none of them."""
        origin = imported(self._store)
        return sorted(self._definition.handled.keys() & set(origin["untaken"].get(self._definition.name, ()))) if origin else []

    def _records(self) -> Iterator[Record]:
        begin = min(self._first.values(), default=END)
        ends = {type_: self._first.get(type_, END) for type_ in self._definition.handled}
        types = frozenset(type_ for type_, end in ends.items() if end > begin)
        if not types or imported(self._store):
            return
        last = max(ends[type_] for type_ in types)
        for record in self._store.read_all(after=begin, where=Filter(types=types)):
            if record.position >= last:
                return
            if record.position < ends[record.type]:
                yield record
