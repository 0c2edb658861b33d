"""What a memory store holds, and the lock around it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Condition
from typing import TYPE_CHECKING

from process_manager.core.records import Record
from process_manager.errors import StoreUnavailable
from process_manager.ports import Filter

if TYPE_CHECKING:
    from process_manager.adapters.memory.groups import Group


@dataclass
class State:
    """The log, in which a record's position is its index, the same records by stream, and the groups."""

    single_active: bool
    log: list[Record] = field(default_factory=list)
    streams: dict[str, list[Record]] = field(default_factory=dict)
    groups: "dict[str, Group]" = field(default_factory=dict)
    changed: Condition = field(default_factory=Condition)
    closed: bool = False

    @contextmanager
    def locked(self) -> Iterator[None]:
        """The lock, for as long as the store is open."""
        with self.changed:
            self.check_open()
            yield

    def check_open(self) -> None:
        if self.closed:
            raise StoreUnavailable("this store was closed")


def matches(where: Filter, record: Record) -> bool:
    return where.matches(record.type, record.stream)
