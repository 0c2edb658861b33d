"""The demo's orders and what becomes of them."""

from collections import Counter
from itertools import pairwise

import orjson
import pytest

from process_manager.adapters.memory import MemoryStore
from process_manager.core.records import NewRecord
from process_manager.core.story import story
from process_manager.examples.order_fulfilment import app
from process_manager.examples.order_fulfilment.demo import Demo, OtherDemo, totals
from process_manager.examples.order_fulfilment.messages import CardCharged, OrderPlaced
from process_manager.examples.order_fulfilment.orders import LIMITED, SOLD_OUT, Plan
from process_manager.interfaces.bootstrap import driven_worker
from process_manager.ports import Block, StreamState

PLAN = Plan(orders=240, seed=11)


@pytest.fixture(scope="module")
def store() -> MemoryStore:
    """All orders of the plan, lived through."""
    opened = MemoryStore()
    worker = driven_worker(app, opened)
    Demo(PLAN, opened, worker).run()
    worker.close()
    return opened


def test_the_same_seed_makes_the_same_orders_in_the_order_of_their_time() -> None:
    events = list(PLAN.events())
    assert events == list(Plan(orders=240, seed=11).events())
    assert events != list(Plan(orders=240, seed=12).events())
    assert all(earlier.time <= later.time for earlier, later in pairwise(events))


def test_every_kind_of_order_is_among_them() -> None:
    orders = [each.message for each in PLAN.events() if isinstance(each.message, OrderPlaced)]
    assert {order.card.partition("-")[0] for order in orders} == {"card", "declined", "late", "lost"}
    assert {SOLD_OUT, LIMITED} < {line.sku for order in orders for line in order.lines}
    assert max(len(order.lines) for order in orders) > 2


def test_every_order_has_its_end(store: MemoryStore) -> None:
    found = totals(store)
    assert (found.orders, found.running, found.aborted) == (240, 0, 0)
    assert found.completed + found.compensated == 240
    assert found.completed > 150
    told = "\n".join(map(str, story(store.read_stream(found.longest))))
    assert "compensating: " in told


def test_reasons_of_all_kinds_undo_orders(store: MemoryStore) -> None:
    reasons = Counter(
        orjson.loads(record.data)["outcome"].partition(":")[0]
        for record in store.read_all()
        if record.type == "pm.ended" and b"compensated" in record.data
    )
    assert {
        "hammock is out of stock", "print is out of stock", "card declined", "the bank did not answer", "rejected by rules",
        "nobody reviewed the order in time",
    } < set(reasons)  # fmt: skip
    assert reasons["print is out of stock"] == 6  # of twelve who wanted one


def test_a_late_charge_is_refunded(store: MemoryStore) -> None:
    late = [each.message.order_id for each in PLAN.events() if isinstance(each.message, CardCharged)]
    assert late
    for order_id in late:
        types = [record.type for record in store.read_stream(f"payment-{order_id}")]
        assert types[-2:] == ["payments.card-charged", "payments.card-refunded"]
        refund = list(store.read_stream(f"payment-{order_id}"))[-1]
        assert orjson.loads(refund.data)["amount"] != "0"


def test_a_store_with_something_else_is_refused() -> None:
    store = MemoryStore()
    store.append(Block("a-1", [NewRecord("0c6f8f1e-0000-4000-8000-000000000001", "a.b", b"{}", b"")], StreamState.NO_STREAM))
    worker = driven_worker(app, store)
    with pytest.raises(OtherDemo, match="something else"):
        Demo(PLAN, store, worker).run()
    worker.close()
