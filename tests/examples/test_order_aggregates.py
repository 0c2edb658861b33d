"""The order example's aggregates, each by its own rules."""

from decimal import Decimal

import pytest

from process_manager import Refused
from process_manager.examples.order_fulfilment.handlers import HANDLERS
from process_manager.examples.order_fulfilment.inventory import Inventory
from process_manager.examples.order_fulfilment.messages import (
    CardCharged,
    CardDeclined,
    CardRefunded,
    ChargePending,
    OrderShipped,
    ReviewApproved,
    ReviewRejected,
    ReviewRequested,
    StockReceived,
    StockReleased,
    StockReserved,
    StockUnavailable,
)
from process_manager.examples.order_fulfilment.payment import Payment
from process_manager.examples.order_fulfilment.reviews import Review
from process_manager.examples.order_fulfilment.shipping import Shipment
from process_manager.runtime.handlers import check_handlers

PRICE = Decimal(50)


def stocked(quantity: int) -> Inventory:
    item = Inventory("pen")
    item.apply(StockReceived(sku="pen", quantity=quantity))
    return item


def test_stock_is_reserved_as_long_as_there_is_enough() -> None:
    """What is missing is refused, with what there is."""
    item = stocked(3)
    item.reserve("1", 2)
    with pytest.raises(Refused) as refused:
        item.reserve("2", 2)

    assert item.take_recorded() == [(StockReserved(order_id="1", sku="pen", quantity=2), "")]
    assert refused.value.event == StockUnavailable(order_id="2", sku="pen", wanted=2, available=1)


def test_released_stock_is_free_again_and_releasing_nothing_is_fine() -> None:
    """An undo comes for what may never have been done."""
    item = stocked(3)
    item.reserve("1", 3)
    item.release("1")
    item.release("1")

    assert item.available == 3
    assert [event for event, _ in item.take_recorded()][1:] == [
        StockReleased(order_id="1", sku="pen", quantity=3),
        StockReleased(order_id="1", sku="pen", quantity=0),
    ]


def test_a_card_is_charged_and_refunded() -> None:
    """All that was paid goes back, once; a second refund is of nothing."""
    payment = Payment("1")
    payment.charge("4000", PRICE)
    payment.refund()
    payment.refund()

    assert [event for event, _ in payment.take_recorded()] == [
        CardCharged(order_id="1", amount=PRICE),
        CardRefunded(order_id="1", amount=PRICE),
        CardRefunded(order_id="1", amount=Decimal(0)),
    ]


def test_a_declined_card_is_refused() -> None:
    """The refusal is the outcome."""
    with pytest.raises(Refused) as refused:
        Payment("1").charge("declined-4000", PRICE)

    assert refused.value.event == CardDeclined(order_id="1", reason="insufficient funds")


@pytest.mark.parametrize("card", ["late-4000", "lost-4000"])
def test_what_a_slow_bank_charges_late_is_refunded_as_well(card: str) -> None:
    """Even when the payment was refunded meanwhile; then there is something to refund again."""
    payment = Payment("1")
    payment.charge(card, PRICE)
    payment.refund()
    payment.apply(CardCharged(order_id="1", amount=PRICE))
    payment.refund()

    assert [event for event, _ in payment.take_recorded()] == [
        ChargePending(order_id="1", amount=PRICE),
        CardRefunded(order_id="1", amount=Decimal(0)),
        CardRefunded(order_id="1", amount=PRICE),
    ]


def test_a_review_is_decided_by_rule_where_the_total_is_clear() -> None:
    """What lies between waits for a person."""
    small, middle, large = Review("1"), Review("2"), Review("3")
    small.request(Decimal(1000))
    middle.request(Decimal(5000))
    with pytest.raises(Refused) as refused:
        large.request(Decimal(5001))

    assert small.take_recorded() == [(ReviewApproved(order_id="1", reviewer="rules"), "")]
    assert middle.take_recorded() == [(ReviewRequested(order_id="2", total=Decimal(5000)), "")]
    assert refused.value.event == ReviewRejected(order_id="3", reviewer="rules")


def test_an_order_is_shipped_in_a_parcel_of_its_own() -> None:
    """Named by the order, so that every run is the same."""
    shipment = Shipment("1")
    shipment.ship()

    assert shipment.take_recorded() == [(OrderShipped(order_id="1", parcel="parcel-1"), "")]


def test_nothing_is_wrong_with_the_handlers() -> None:
    """As an app would find at its start."""
    assert check_handlers(HANDLERS) == []
