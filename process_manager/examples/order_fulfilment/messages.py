"""The events and commands of the shop, its warehouse, its reviewers, its bank and its carrier."""

from decimal import Decimal

from pydantic import BaseModel

from process_manager import Command, Event


class Line(BaseModel, frozen=True):
    sku: str
    quantity: int


class OrderPlaced(Event, type="orders.order-placed"):
    order_id: str
    lines: tuple[Line, ...]
    total: Decimal
    card: str


class StockReceived(Event, type="inventory.stock-received"):
    sku: str
    quantity: int


class ReserveStock(Command, type="inventory.reserve-stock"):
    order_id: str
    sku: str
    quantity: int


class StockReserved(Event, type="inventory.stock-reserved"):
    order_id: str
    sku: str
    quantity: int


class StockUnavailable(Event, type="inventory.stock-unavailable"):
    order_id: str
    sku: str
    wanted: int
    available: int


class ReleaseStock(Command, type="inventory.release-stock"):
    order_id: str
    sku: str


class StockReleased(Event, type="inventory.stock-released"):
    order_id: str
    sku: str
    quantity: int


class RequestReview(Command, type="reviews.request-review"):
    order_id: str
    total: Decimal


class ReviewRequested(Event, type="reviews.review-requested"):
    order_id: str
    total: Decimal


class ReviewApproved(Event, type="reviews.review-approved"):
    order_id: str
    reviewer: str


class ReviewRejected(Event, type="reviews.review-rejected"):
    order_id: str
    reviewer: str


class ChargeCard(Command, type="payments.charge-card"):
    order_id: str
    card: str
    amount: Decimal


class ChargePending(Event, type="payments.charge-pending"):
    order_id: str
    amount: Decimal


class CardCharged(Event, type="payments.card-charged"):
    order_id: str
    amount: Decimal


class CardDeclined(Event, type="payments.card-declined"):
    order_id: str
    reason: str


class RefundCard(Command, type="payments.refund-card"):
    order_id: str


class CardRefunded(Event, type="payments.card-refunded"):
    order_id: str
    amount: Decimal


class ShipOrder(Command, type="shipping.ship-order"):
    order_id: str


class OrderShipped(Event, type="shipping.order-shipped"):
    order_id: str
    parcel: str
