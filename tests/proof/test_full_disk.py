"""The disk is full in the middle of the work: workers wait, and go on when there is room."""

import json
from decimal import Decimal
from pathlib import Path

from process_manager.adapters.clock import ManualClock
from process_manager.adapters.deadline_index import SqliteDeadlineIndex
from process_manager.adapters.sqlite import SqliteStore
from process_manager.core.codec import encode
from process_manager.core.identity import derive
from process_manager.core.records import NewRecord
from process_manager.examples.order_fulfilment import app
from process_manager.examples.order_fulfilment.messages import OrderPlaced
from process_manager.ports import Block, StreamState
from process_manager.runtime.instances import load
from process_manager.runtime.wiring import build_worker
from process_manager.testing.invariants import broken_promises

ORDERS = 200


def room(store: SqliteStore, pages: int) -> None:
    """Let the file grow by so many pages at most."""
    with store._database.write(durable=False) as connection:
        (now,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {now + pages}")


def test_orders_go_on_when_there_is_room_again(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "events.db")
    for number in range(ORDERS):
        placed = OrderPlaced(order_id=str(number), lines=(), total=Decimal(50), card="4")
        record = NewRecord(derive(str(number)), placed.message_type, encode(placed), json.dumps({"time": "2026-01-01T00:00:00Z"}).encode())
        store.append(Block(f"order-{number}", [record], StreamState.NO_STREAM))
    worker = build_worker(app, store, ManualClock(), SqliteDeadlineIndex())
    troubles = 0
    for pages in (2, 5, 20, 40):
        room(store, pages)
        for _ in range(20):
            worker.step()
            if worker.store_trouble:
                troubles += 1
                break
    room(store, 1_000_000)
    worker.run(until_idle=True)
    worker.close()

    assert troubles >= 1
    definition = app.definitions["order_fulfilment"]
    assert {load(store, definition, str(number)).status for number in range(ORDERS)} == {"completed"}
    for number in range(ORDERS):
        assert broken_promises(definition, str(number), list(store.read_stream(f"order_fulfilment-{number}"))) == []
    store.close()
