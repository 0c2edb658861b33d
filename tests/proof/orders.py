"""Orders that go every way the order process knows."""

from datetime import timedelta
from decimal import Decimal

from process_manager import days, hours, minutes
from process_manager.core.signals import Action
from process_manager.examples.order_fulfilment import messages as m
from process_manager.examples.order_fulfilment.process import OrderFulfilment
from process_manager.testing.crash_points import OperatorAction, Published, Race


def order(key: str = "1", *, skus: str = "ab", total: int = 50, card: str = "card", after: timedelta = timedelta()) -> Published:
    lines = tuple(m.Line(sku=sku, quantity=1) for sku in skus)
    return Published(m.OrderPlaced(order_id=key, lines=lines, total=Decimal(total), card=card), after)


def stock(skus: str, quantity: int = 5) -> list[Published]:
    return [Published(m.StockReceived(sku=sku, quantity=quantity), stream=f"inventory-{sku}") for sku in skus]


APPROVED = Published(m.ReviewApproved(order_id="1", reviewer="ada"), hours(3))
CHARGED_LATE = Published(m.CardCharged(order_id="1", amount=Decimal(50)), days(6), stream="payment-1")
CHARGED = Published(m.CardCharged(order_id="1", amount=Decimal(50)), minutes(30), stream="payment-1")


def by_hand(action: Action, after: timedelta) -> Published:
    return Published(OperatorAction("order_fulfilment-1", action, action, "ann", "because"), after)


WAYS: dict[str, list[Published]] = {
    "shipped": [*stock("ab"), order()],
    "approved by a person": [*stock("ab"), order(total=2000), APPROVED],
    "nobody approves it": [*stock("a"), order(skus="a", total=2000)],
    "one part is sold out": [*stock("a"), order()],
    "declined": [*stock("ab"), order(card="declined-")],
    "the bank answers after it was given up": [*stock("a"), order(skus="a", card="late-"), CHARGED_LATE],
    "the bank answers after a while": [*stock("a"), order(skus="a", card="late-"), CHARGED],
    "somebody stops it for a while": [
        *stock("ab"),
        order(total=2000),
        by_hand("suspend", hours(1)),
        APPROVED,
        by_hand("resume", hours(4)),
    ],
    "somebody has it undone": [*stock("ab"), order(total=2000), by_hand("compensate", hours(1))],
    "two at once": [*stock("ab"), order(), order("2", card="declined-")],
}

RACES: dict[str, list[Race]] = {
    # the bank's word names no command here: it counts while one is open, waits for that before, and is late afterwards
    "the bank answers after it was given up": [
        Race(other, m.CardCharged, {"shipped", "the bank did not answer"})
        for other in (m.OrderPlaced, m.StockReserved, OrderFulfilment.charge_card)
    ],
    # resumed before it was suspended, it stays suspended
    "somebody stops it for a while": [Race(m.OrderPlaced, OperatorAction, {"shipped", "suspended"})],
    # there is nothing to undo before the order is placed; then it waits for its review
    "somebody has it undone": [Race(m.OrderPlaced, OperatorAction, {"because", "nobody reviewed the order in time"})],
}
