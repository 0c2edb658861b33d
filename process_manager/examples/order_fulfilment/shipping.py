"""The parcel of one order."""

from process_manager import Aggregate
from process_manager.examples.order_fulfilment.messages import OrderShipped


class Shipment(Aggregate, category="shipment"):
    """One for each order."""

    def ship(self) -> None:
        self.record(OrderShipped(order_id=self.id, parcel=f"parcel-{self.id}"))
