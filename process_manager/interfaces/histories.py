"""Instances' histories as they stand in a log."""

from collections.abc import Iterable, Iterator

import orjson

from process_manager.core import facts
from process_manager.core.block import read_fact
from process_manager.core.facts import Fact
from process_manager.core.messages import Json
from process_manager.core.records import Record
from process_manager.ports import EventStore, Filter

FIRST = frozenset(fact.fact_type for fact in (facts.Started, facts.InputKept, facts.Suspended))
"""What a stream of an instance may begin with."""

IMPORTED = "pm.imported"
"""The first record of a log that holds imported histories: no worker may run on it."""


def imported(store: EventStore) -> Json | None:
    """What the import wrote of where the histories come from; None for a log of its own."""
    first = next(store.read_all(limit=1), None)
    return orjson.loads(first.data) if first is not None and first.type == IMPORTED else None


def instances(store: EventStore, process: str = "") -> Iterator[str]:
    """The streams of a process's instances, or of all, in the order in which they began."""
    for record in store.read_all(where=Filter(types=FIRST)):
        if record.revision == 0 and record.stream.startswith(f"{process}-" if process else ""):
            yield record.stream


def read_facts(records: Iterable[Record]) -> Iterator[tuple[Fact, int]]:
    """Records of an instance as facts with their revisions. Raises MessageError for one that cannot be read."""
    return ((read_fact(record), record.revision) for record in records)
