"""An input that starts an instance is decided without a look for its stream; the append tells whether there is one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from process_manager.examples.order_fulfilment import messages as m
from tests.runtime.shop import Shop


@pytest.fixture
def reads(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The streams of instances that are read."""
    found: list[str] = []
    read_stream = shop.store.read_stream

    def reading(stream: str, **options: Any) -> object:
        if stream.startswith("order_fulfilment-"):
            found.append(stream)
        return read_stream(stream, **options)

    monkeypatch.setattr(shop.store, "read_stream", reading)
    return found


def test_a_new_instance_is_not_looked_for(shop: Shop, reads: list[str]) -> None:
    for key in "123":
        shop.place(key, "a")
    shop.settle()

    assert reads == []
    assert [shop.instance(key).status for key in "123"] == ["running"] * 3


def test_an_instance_that_was_there_is_read_and_decided_again(shop: Shop, reads: list[str]) -> None:
    """An early event began its stream; a worker that does not remember it meets that at the append."""
    shop.publish(m.ReviewApproved(order_id="1", reviewer="r"))
    shop.settle()
    shop.turns._instances.clear()
    reads.clear()
    shop.place("1", "a")
    shop.settle()

    assert reads == ["order_fulfilment-1"]
    assert shop.counters.conflicts == 1
    assert (shop.counters.turns, shop.counters.waiting) == (2, 1), "what was decided in vain does not count"
    assert [record.type for record in shop.records("1")] == ["pm.input-kept", "pm.started", "inventory.reserve-stock"]


def test_what_leads_to_no_append_is_looked_for(shop: Shop, open_shop: Callable[[], Shop], reads: list[str]) -> None:
    """An instance that one believes absent may be there."""
    shop.place("1", "a")
    shop.settle()
    shop.turns._instances.clear()
    reads.clear()
    (command,) = shop.commands("1", "reserve_stock")
    shop.publish(m.StockReserved(order_id="1", sku="a", quantity=1), cause=command.id)
    reads.clear()
    shop.settle()

    assert reads == ["order_fulfilment-1"]
    assert len(shop.commands("1", "charge_card")) == 1


def test_a_start_delivered_again_at_another_time_changes_nothing(shop: Shop) -> None:
    shop.place("1", "a")
    deliveries = shop.consumer.fetch(1)
    shop.turns._take(deliveries)
    before = shop.records("1")
    shop.turns._instances.clear()
    shop.clock.advance(timedelta(hours=1))
    shop.turns._take(deliveries)

    assert shop.records("1") == before
    assert shop.counters.duplicates == 1
