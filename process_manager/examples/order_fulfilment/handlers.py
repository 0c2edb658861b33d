"""The command handlers. Each loads one aggregate and calls one of its methods; the rules are in the aggregates."""

from process_manager import Repository, handles
from process_manager.examples.order_fulfilment.inventory import Inventory
from process_manager.examples.order_fulfilment.messages import (
    ChargeCard,
    RefundCard,
    ReleaseStock,
    RequestReview,
    ReserveStock,
    ShipOrder,
)
from process_manager.examples.order_fulfilment.payment import Payment
from process_manager.examples.order_fulfilment.reviews import Review
from process_manager.examples.order_fulfilment.shipping import Shipment


@handles(ReserveStock)
def reserve_stock(command: ReserveStock, inventory: Repository[Inventory]) -> None:
    with inventory.edit(command.sku) as item:
        item.reserve(command.order_id, command.quantity)


@handles(ReleaseStock)
def release_stock(command: ReleaseStock, inventory: Repository[Inventory]) -> None:
    with inventory.edit(command.sku) as item:
        item.release(command.order_id)


@handles(RequestReview)
def request_review(command: RequestReview, reviews: Repository[Review]) -> None:
    with reviews.edit(command.order_id) as review:
        review.request(command.total)


@handles(ChargeCard)
def charge_card(command: ChargeCard, payments: Repository[Payment]) -> None:
    with payments.edit(command.order_id) as payment:
        payment.charge(command.card, command.amount)


@handles(RefundCard)
def refund_card(command: RefundCard, payments: Repository[Payment]) -> None:
    with payments.edit(command.order_id) as payment:
        payment.refund()


@handles(ShipOrder)
def ship_order(command: ShipOrder, shipments: Repository[Shipment]) -> None:
    with shipments.edit(command.order_id) as shipment:
        shipment.ship()


HANDLERS = (reserve_stock, release_stock, request_review, charge_card, refund_card, ship_order)
