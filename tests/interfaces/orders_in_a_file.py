"""Orders in a store in a file, and an app for them."""

from decimal import Decimal

from process_manager.adapters.sqlite import SqliteStore
from process_manager.core.codec import encode
from process_manager.core.identity import derive
from process_manager.core.records import NewRecord
from process_manager.examples.order_fulfilment import messages as m
from process_manager.ports import Block, Filter, StreamState

APP = "process_manager.examples.order_fulfilment:app"


def placed(path: str, *keys: str) -> None:
    store = SqliteStore(path)
    for key in keys:
        order = m.OrderPlaced(order_id=key, lines=(m.Line(sku="a", quantity=1),), total=Decimal(50), card="card-1")
        record = NewRecord(derive("order", key), order.message_type, encode(order), b"{}")
        store.append(Block(f"order-{key}", [record], StreamState.NO_STREAM))
    store.close()


def reserved(path: str) -> int:
    """How many commands for the first step there are."""
    store = SqliteStore(path)
    try:
        return len(list(store.read_all(where=Filter(types=frozenset({m.ReserveStock.message_type})))))
    finally:
        store.close()
