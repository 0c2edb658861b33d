"""Events that stand in the log and that no recorded turn took, because the run that was recorded did not handle their type yet."""

from collections.abc import Container, Iterator

from process_manager.core.codec import decode
from process_manager.core.definition import Definition
from process_manager.core.facts import Fact, Input, Receipt
from process_manager.core.metadata import read_metadata
from process_manager.core.records import Record
from process_manager.errors import UndecodableMessage
from process_manager.interfaces.histories import imported
from process_manager.ports import EventStore, Filter
from process_manager.runtime.router import input_of

END = 2**63


class Untaken:
    """Watches which types the instances of a process took, from which position on; then finds what came before that.

    Only what stands behind the first input of the process at all counts: what is older was never meant for it.
    """

    def __init__(self, store: EventStore, definition: Definition) -> None:
        self._store = store
        self._definition = definition
        self._first: dict[str, int] = {}  # by type, the lowest position at which one was taken

    def watched(self, recorded: Iterator[tuple[Fact, int]]) -> Iterator[tuple[Fact, int]]:
        """The facts, looked at on their way."""
        first = self._first
        for each in recorded:
            fact = each[0]
            if isinstance(fact, Receipt) and fact.input.position < first.get(fact.input.type, END):
                first[fact.input.type] = fact.input.position
            yield each

    def inputs(self, but_for: Container[str]) -> dict[str, list[Input]]:
        """By the instance's stream, in the order of the log; "" for those whose instance is found by `$correlationId`.

        Streams of `but_for` are left out: what they took is known only as far as they were looked through.
        """
        found: dict[str, list[Input]] = {}
        for record in self._records():
            handled, route = self._definition.handled[record.type], self._definition.routes[record.type]
            try:
                taken = input_of(record, read_metadata(record.type, record.metadata))
                key = "" if route.by_correlation else route.key(decode(handled.event, taken.version, taken.data))
            except UndecodableMessage:
                continue  # a worker would set it aside
            stream = f"{self._definition.name}-{key}" if key else ""
            if stream not in but_for:
                found.setdefault(stream, []).append(taken)
        return found

    def hidden(self) -> list[str]:
        """For imported histories: the types whose events stand in the log that they come from, and were not brought along."""
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
