"""The stock of one article, and who has reserved how much of it."""

from process_manager import Aggregate, Refused, applies
from process_manager.examples.order_fulfilment.messages import StockReceived, StockReleased, StockReserved, StockUnavailable


class Inventory(Aggregate, category="inventory"):
    """One for each sku. Stock comes in by `StockReceived`, which the warehouse publishes."""

    def __init__(self, id: str) -> None:
        super().__init__(id)
        self.available = 0
        self.reserved: dict[str, int] = {}  # by order

    def reserve(self, order_id: str, quantity: int) -> None:
        if quantity > self.available:
            raise Refused(StockUnavailable(order_id=order_id, sku=self.id, wanted=quantity, available=self.available))
        self.record(StockReserved(order_id=order_id, sku=self.id, quantity=quantity))

    def release(self, order_id: str) -> None:
        """What the order has reserved is free again; nothing, if it has reserved nothing."""
        self.record(StockReleased(order_id=order_id, sku=self.id, quantity=self.reserved.get(order_id, 0)))

    @applies
    def received(self, event: StockReceived) -> None:
        self.available += event.quantity

    @applies
    def was_reserved(self, event: StockReserved) -> None:
        self.available -= event.quantity
        self.reserved[event.order_id] = self.reserved.get(event.order_id, 0) + event.quantity

    @applies
    def was_released(self, event: StockReleased) -> None:
        self.available += event.quantity
        self.reserved.pop(event.order_id, None)
