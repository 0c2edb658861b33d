"""The whole process: its steps as a table, then what follows from each event, and how each step is undone."""

from decimal import Decimal

from process_manager import (
    Compensate,
    Complete,
    Decision,
    Effects,
    ProcessManager,
    Retry,
    Step,
    all_of,
    days,
    hours,
    minutes,
    on,
    overdue,
    starts,
    undo,
)
from process_manager.examples.order_fulfilment.messages import (
    CardCharged,
    CardDeclined,
    CardRefunded,
    ChargeCard,
    OrderPlaced,
    OrderShipped,
    RefundCard,
    ReleaseStock,
    RequestReview,
    ReserveStock,
    ReviewApproved,
    ReviewRejected,
    ShipOrder,
    StockReleased,
    StockReserved,
    StockUnavailable,
)

REVIEW_OVER = Decimal(500)


class OrderFulfilment(ProcessManager, version=1, key="order_id"):
    """Takes a placed order to delivered, or undoes what was done."""

    # the steps: what is asked for, what answers it, and how long that may take

    reserve_stock = Step(
        ReserveStock, each=lambda c: c.sku, done=StockReserved, failed=StockUnavailable, within=minutes(10), retry=Retry(3)
    )
    release_stock = Step(ReleaseStock, each=lambda c: c.sku, done=StockReleased, within=minutes(10), needs_undo=False)
    request_review = Step(RequestReview, done=ReviewApproved, failed=ReviewRejected, within=hours(24), needs_undo=False)
    charge_card = Step(ChargeCard, done=CardCharged, failed=CardDeclined, within=hours(1), retry=Retry(3))
    refund_card = Step(RefundCard, done=CardRefunded, within=days(1), needs_undo=False)
    ship_order = Step(ShipOrder, done=OrderShipped, within=days(5), needs_undo=False)

    # the way to the goal

    @starts
    def order_placed(self, order: OrderPlaced) -> Effects[ReserveStock]:
        for line in order.lines:
            yield ReserveStock(order_id=order.order_id, sku=line.sku, quantity=line.quantity)

    @on(all_of(reserve_stock))
    def all_reserved(self) -> Effects[RequestReview | ChargeCard]:
        order = self.event(OrderPlaced)
        if order.total > REVIEW_OVER:
            yield Decision("manual review", "yes", because=f"total {order.total} > {REVIEW_OVER}")
            yield RequestReview(order_id=order.order_id, total=order.total)
        else:
            yield Decision("manual review", "no", because=f"total {order.total} <= {REVIEW_OVER}")
            yield self.charge(order)

    @on
    def review_approved(self, _: ReviewApproved) -> Effects[ChargeCard]:
        yield self.charge(self.event(OrderPlaced))

    @on
    def card_charged(self, charged: CardCharged) -> Effects[ShipOrder]:
        yield ShipOrder(order_id=charged.order_id)

    @on
    def order_shipped(self, _: OrderShipped) -> Effects[Complete]:
        yield Complete("shipped")

    # what can go wrong

    @on
    def stock_unavailable(self, missing: StockUnavailable) -> Effects[Compensate]:
        yield Compensate(f"{missing.sku} is out of stock")

    @overdue(reserve_stock)
    def reservation_overdue(self, c: ReserveStock) -> Effects[Compensate]:
        yield Compensate(f"nobody reserved {c.sku}")

    @on
    def review_rejected(self, rejected: ReviewRejected) -> Effects[Compensate]:
        yield Compensate(f"rejected by {rejected.reviewer}")

    @overdue(request_review)
    def review_overdue(self, _: RequestReview) -> Effects[Compensate]:
        yield Compensate("nobody reviewed the order in time")

    @on
    def card_declined(self, declined: CardDeclined) -> Effects[Compensate]:
        yield Compensate(f"card declined: {declined.reason}")

    @overdue(charge_card)
    def charge_overdue(self, _: ChargeCard) -> Effects[Compensate]:
        yield Compensate("the bank did not answer")

    @overdue(ship_order)
    def shipping_overdue(self, _: ShipOrder) -> Effects[Compensate]:
        yield Compensate("nobody shipped the order in time")

    # how it is undone

    @undo(reserve_stock)
    def release(self, c: ReserveStock) -> Effects[ReleaseStock]:
        yield ReleaseStock(order_id=c.order_id, sku=c.sku)

    @undo(charge_card)
    def refund(self, c: ChargeCard) -> Effects[RefundCard]:
        yield RefundCard(order_id=c.order_id)

    def charge(self, order: OrderPlaced) -> ChargeCard:
        return ChargeCard(order_id=order.order_id, card=order.card, amount=order.total)
