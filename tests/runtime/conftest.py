"""A store of each kind, and order processes on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from process_manager.adapters.clock import ManualClock
from process_manager.adapters.deadline_index import SqliteDeadlineIndex
from process_manager.adapters.memory import MemoryStore
from process_manager.adapters.sqlite import SqliteStore
from process_manager.examples.order_fulfilment.process import OrderFulfilment
from process_manager.ports import EventStore, Filter
from process_manager.runtime.counters import Counters
from process_manager.runtime.deadlines import DeadlineRunner
from process_manager.runtime.router import Router, input_types
from process_manager.runtime.turns import TurnRunner
from tests.runtime.desk import Desk
from tests.runtime.shop import START, Shop, join_group


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[EventStore]:
    opened: EventStore = MemoryStore() if request.param == "memory" else SqliteStore(tmp_path / "events.db")
    yield opened
    opened.close()


@pytest.fixture
def open_shop(store: EventStore) -> Iterator[Callable[[], Shop]]:
    """Open one worker's share of the process; call it again for another worker."""
    shops: list[Shop] = []

    def opened() -> Shop:
        clock, counters = ManualClock(START), Counters()
        definitions = {"order_fulfilment": OrderFulfilment.definition}
        router = Router(definitions, store)
        consumer = join_group(store, "test", "processes", Filter(types=input_types(definitions)), f"worker {len(shops)}")
        turns = TurnRunner(store, consumer, router, clock, counters)
        deadlines = DeadlineRunner(store, definitions, SqliteDeadlineIndex(), clock, counters)
        shops.append(Shop(store, clock, consumer, turns, deadlines, counters))
        return shops[-1]

    yield opened
    for shop in shops:
        shop.turns.close()
        shop.deadlines.close()


@pytest.fixture
def shop(open_shop: Callable[[], Shop]) -> Shop:
    return open_shop()


@pytest.fixture
def desk(store: EventStore) -> Iterator[Desk]:
    """Command handlers, driven by hand."""
    opened = Desk(store)
    yield opened
    opened.close()
