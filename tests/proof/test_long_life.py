"""Long runs, long streams and many waiting instances cost no more than short, young and few."""

import gc
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import orjson
import pytest

from process_manager import App
from process_manager.adapters.clock import ManualClock
from process_manager.adapters.deadline_index import SqliteDeadlineIndex
from process_manager.adapters.memory import MemoryStore
from process_manager.adapters.sqlite import SqliteStore, appends, tail
from process_manager.core.codec import encode
from process_manager.core.identity import derive
from process_manager.core.messages import Event
from process_manager.core.records import NewRecord, Record
from process_manager.examples.order_fulfilment import app as orders
from process_manager.examples.order_fulfilment.messages import OrderPlaced
from process_manager.examples.order_fulfilment.orders import EVERY
from process_manager.ports import Block, EventStore, StreamState
from process_manager.runtime import instances, unit_of_work
from process_manager.runtime.instances import load
from process_manager.runtime.turns import SNAPSHOT_EVERY
from process_manager.runtime.wiring import build_worker
from tests.core.processes import Waiting
from tests.core.samples import Began, Noticed


class Counting:
    """A store that counts its calls, and the records that are read from streams."""

    def __init__(self, store: EventStore) -> None:
        self.calls: Counter[str] = Counter()
        self.read = 0
        self._store = store

    def __getattr__(self, name: str) -> Any:
        called = getattr(self._store, name)

        def counted(*args: Any, **options: Any) -> Any:
            self.calls[name] += 1
            return called(*args, **options)

        return counted if callable(called) else called

    def read_stream(self, stream: str, **options: Any) -> Iterator[Record]:
        self.calls["read_stream"] += 1
        for record in self._store.read_stream(stream, **options):
            self.read += 1
            yield record


def put(store: EventStore, number: int, event: Event) -> None:
    record = NewRecord(derive(str(number)), event.message_type, encode(event), orjson.dumps({"time": "2026-01-01T00:00:00Z"}))
    store.append(Block(f"world-{number}", [record], StreamState.NO_STREAM))


def test_an_hour_of_orders_leaves_memory_flat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the caches full, and small here, an hour's orders hold no more memory at their end than in the middle."""
    monkeypatch.setattr(instances, "CACHED", 20)
    monkeypatch.setattr(unit_of_work, "CACHED", 20)
    monkeypatch.setattr(appends, "REMEMBERED_STREAMS", 100)
    monkeypatch.setattr(tail, "RECORDS", 100)
    monkeypatch.setattr(tail, "BYTES", 1_000_000)
    store = SqliteStore(tmp_path / "events.db")
    worker = build_worker(orders, store, ManualClock(), SqliteDeadlineIndex())
    held: list[int] = []
    for start in range(0, timedelta(hours=1) // EVERY, 60):
        for number in range(start, start + 60):
            put(store, number, OrderPlaced(order_id=str(number), lines=(), total=Decimal(50), card="4"))
        worker.run(until_idle=True)
        gc.collect()
        held.append(sys.getallocatedblocks())
    worker.close()
    store.close()

    assert max(held[8:]) < 1.02 * max(held[4:8]), held


def test_an_instance_of_thousands_of_facts_is_loaded_from_its_end() -> None:
    """What is read to load it is bounded by what lies between two snapshots, however long it is."""
    store = MemoryStore()
    put(store, 0, Began(id="1"))
    worker = build_worker(App("long", processes=[Waiting]), store, ManualClock(), SqliteDeadlineIndex())
    for start in range(1, 12 * SNAPSHOT_EVERY, 100):
        for number in range(start, start + 100):
            put(store, number, Noticed(id="1"))
        worker.run(until_idle=True)
    worker.close()
    length = sum(1 for _ in store.read_stream("waiting-1"))
    counting = Counting(store)

    load(cast("EventStore", counting), Waiting.definition, "1")

    assert length > 20 * SNAPSHOT_EVERY
    assert counting.read < 2 * SNAPSHOT_EVERY


def idle_calls(waiting: int) -> Counter[str]:
    """What an idle worker asks of its store in ten steps, with so many instances that wait for a deadline."""
    store = MemoryStore()
    for number in range(waiting):
        put(store, number, Began(id=str(number)))
    counting = Counting(store)
    worker = build_worker(App("idle", processes=[Waiting]), cast("EventStore", counting), ManualClock(), SqliteDeadlineIndex())
    worker.run(until_idle=True)
    assert sum(1 for _ in store.read_all()) >= 3 * waiting
    counting.calls.clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("process_manager.runtime.worker.time", SimpleNamespace(monotonic=lambda: 0.0))  # no sweep falls between the steps
        for _ in range(10):
            assert worker.step() == 0
    worker.close()
    return counting.calls


def test_waiting_instances_cost_nothing_while_nothing_happens() -> None:
    """An idle worker asks as much of its store for a thousand waiting instances as for one, and reads no stream."""
    few, many = idle_calls(1), idle_calls(1000)

    assert few == many
    assert many["read_stream"] == 0
