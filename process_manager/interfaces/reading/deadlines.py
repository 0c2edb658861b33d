"""Pending deadlines: of one instance from its folded state, or of all instances from the log, through an index in a temporary file."""

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from process_manager.adapters.deadline_index import SqliteDeadlineIndex
from process_manager.core.block import is_command
from process_manager.core.deadlines import LEFTOVER, Pending, pending
from process_manager.core.facts import FACTS
from process_manager.core.instance import Instance
from process_manager.core.records import Record
from process_manager.ports import DeadlineChange, EventStore
from process_manager.runtime.deadlines import changes_of

COLUMNS = ("due", "instance", "process", "key", "name", "generation")

FOLLOW = 10_000
"""Records read before the index is updated."""


def of_instance(instance: Instance) -> list[Pending]:
    """The pending deadlines of an instance, earliest first."""
    return sorted((each for each in pending(instance) if each.name != LEFTOVER), key=lambda each: each.due)


def rows_of(instance: Instance) -> Iterator[dict[str, Any]]:
    """The pending deadlines of an instance as rows of COLUMNS."""
    return (_row(instance.stream, *each) for each in of_instance(instance))


def rows(store: EventStore, process: str = "") -> Iterator[dict[str, Any]]:
    """The pending deadlines of all instances, or of one process's, as rows of COLUMNS, earliest first.

    The whole log is read, in bounded memory.
    """
    with TemporaryDirectory() as folder:
        index = SqliteDeadlineIndex(Path(folder) / "deadlines")
        try:
            records = store.read_all()
            while batch := list(islice(records, FOLLOW)):
                index.apply(_changes(batch, f"{process}-" if process else ""), batch[-1].position)
            for each in index.pending():
                if each.name != LEFTOVER:
                    yield _row(each.instance, each.name, each.generation, each.due)
        finally:
            index.close()


def _changes(records: Iterable[Record], prefix: str) -> dict[tuple[str, str], DeadlineChange]:
    found: dict[tuple[str, str], DeadlineChange] = {}
    for record in records:
        if record.stream.startswith(prefix) and (record.type in FACTS or is_command(record)):
            for name, change in reversed(changes_of(record, {})):  # what it clears, then what it sets
                found[record.stream, name] = DeadlineChange(record.position, change)
    return found


def _row(stream: str, name: str, generation: int, due: Any) -> dict[str, Any]:
    process, _, key = stream.partition("-")
    return {"due": due, "instance": stream, "process": process, "key": key, "name": name, "generation": generation}
