"""Changed code for the order process, judged by recorded orders."""

import orjson

from process_manager.core.identity import derive
from process_manager.core.records import NewRecord
from process_manager.ports import Block, EventStore, StreamState

ORDERS = "process_manager.examples.order_fulfilment:app"


CANDIDATE = '''
from decimal import Decimal
from process_manager import App, Decision, Effects, all_of, on
from process_manager.examples.order_fulfilment.messages import ChargeCard, OrderPlaced, RequestReview, StockReceived
from process_manager.examples.order_fulfilment.process import OrderFulfilment as Today


class OrderFulfilment(Today, version=2, key="order_id"):
    """The same, with a lower limit."""

    @on(all_of(Today.reserve_stock))
    def all_reserved(self) -> Effects[RequestReview | ChargeCard]:
        order = self.event(OrderPlaced)
        if order.total > Decimal(300):
            yield Decision("manual review", "yes", because="over 300")
            yield RequestReview(order_id=order.order_id, total=order.total)
        else:
            yield Decision("manual review", "no", because="not over 300")
            yield self.charge(order)


app = App("orders", processes=[OrderFulfilment])
'''


HOLDING = '''
from process_manager import Abort, App, Effects, starts
from process_manager.examples.order_fulfilment.process import OrderFulfilment as Today
from process_manager import Event


class OrderHeld(Event, type="orders.order-held"):
    order_id: str


class OrderFulfilment(Today, version=2, key="order_id"):
    """Begins with something that nobody took so far."""

    @starts
    def held(self, event: OrderHeld) -> Effects[Abort]:
        yield Abort("held")


app = App("orders", processes=[OrderFulfilment])
'''


def publish(store: EventStore, order_id: str) -> None:
    data = orjson.dumps({"order_id": order_id})
    record = NewRecord(derive(order_id, "held"), "orders.order-held", data, b'{"time":"2026-01-05T00:00:00+00:00"}')
    store.append(Block(f"hold-{order_id}", [record], StreamState.NO_STREAM))
