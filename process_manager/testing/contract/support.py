"""What the parts of the store contract share: a store to test, fresh names, and waiting with a deadline."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

import pytest

from process_manager.core.records import NewRecord, Record
from process_manager.errors import GroupNotFound
from process_manager.ports import Block, Consumer, Delivery, EventStore, ExpectedVersion, Filter, StreamState

PATIENCE = 60.0
"""Seconds after which what must happen counts as not happening."""

T = TypeVar("T")


class ContractPart:
    """A part of the contract. A store may be shared by many tests, so every test has its own streams, types and groups."""

    def open_store(self, place: Path) -> EventStore:
        """Open the store that lives at this place; opened twice, it is the same one wherever `features` says durable or shared."""
        raise NotImplementedError

    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[EventStore]:
        _named.clear()
        store = self.open_store(tmp_path)
        yield store
        store.close()
        if store.features.common_log:
            with closing(self.open_store(tmp_path)) as again:
                forget_groups(again)

    @pytest.fixture
    def stream(self) -> str:
        return unique("order")

    @pytest.fixture
    def type_(self) -> str:
        return unique("test.Happened")


def needs(store: EventStore, feature: str) -> None:
    """Leave out a test of what the adapter does not declare."""
    if not getattr(store.features, feature):
        pytest.skip(f"{type(store).__name__} does not declare {feature}")


_named: list[str] = []


def unique(name: str) -> str:
    """A name that nobody else uses."""
    _named.append(f"{name}-{uuid4().hex}")
    return _named[-1]


def forget_groups(store: EventStore) -> None:
    """Delete the groups of this test: a server that is kept would go on filling them."""
    for name in _named:
        if name.startswith("group-"):
            with suppress(GroupNotFound):
                store.delete_group(name)
    _named.clear()


def new(type_: str = "test.Happened", data: bytes = b"{}", *, id: str | None = None) -> NewRecord:
    """A record to append."""
    return NewRecord(id or str(uuid4()), type_, data, b'{"a":1}')


def some(count: int, type_: str = "test.Happened") -> list[NewRecord]:
    """Records to append."""
    return [new(type_, b'{"n":%d}' % number) for number in range(count)]


def put(store: EventStore, stream: str, records: Sequence[NewRecord], expected: ExpectedVersion = StreamState.ANY) -> list[Record]:
    """Append records, and read them back."""
    last = store.append(Block(stream, records, expected))
    return list(store.read_stream(stream, start=last.revision - len(records) + 1))


def only(type_: str) -> Filter:
    return Filter(types=frozenset([type_]))


def eventually(question: Callable[[], T], timeout: float = PATIENCE) -> T:
    """Ask until the answer is true, or fail; often at first, then ten times a second."""
    until, pause = time.monotonic() + timeout, 0.005
    while not (answer := question()):
        if time.monotonic() > until:
            pytest.fail(f"not so within {timeout} seconds; the last answer was {answer!r}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.1)
    return answer


def take(consumer: Consumer, count: int) -> list[Delivery]:
    """Fetch just so many deliveries, in as many fetches as it takes."""
    found: list[Delivery] = []
    until = time.monotonic() + PATIENCE
    while len(found) < count and time.monotonic() < until:
        found += consumer.fetch(count - len(found), timeout=0.2)
    assert len(found) == count
    return found


def ids(items: Sequence[NewRecord | Record | Delivery]) -> list[str]:
    return [item.record.id if isinstance(item, Delivery) else item.id for item in items]
