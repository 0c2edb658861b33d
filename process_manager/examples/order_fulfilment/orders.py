"""The demo's events from outside: orders, deliveries of stock, and what reviewers and the bank do later. The same seed gives the same."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from heapq import heappop, heappush
from random import Random
from typing import NamedTuple

from process_manager import Event
from process_manager.examples.order_fulfilment.messages import (
    CardCharged,
    Line,
    OrderPlaced,
    ReviewApproved,
    ReviewRejected,
    StockReceived,
)
from process_manager.examples.order_fulfilment.reviews import APPROVED_UP_TO, REJECTED_OVER

START = datetime(2026, 1, 5, 8, tzinfo=UTC)
EVERY = timedelta(seconds=5)
"""Time between two orders."""

SKUS = ("lamp", "chair", "table", "shelf", "rug", "mirror", "clock", "vase")
SOLD_OUT = "hammock"
LIMITED = "print"
"""An article of which there is stock for half of the orders that want it. Which of them get it may differ from run to run, how many does
not: the orders for it are all alike."""

LIMITED_EACH = 20


class Planned(Event, type="demo.planned"):
    """Which orders a store's demo is about."""

    orders: int
    seed: int


class Outside(NamedTuple):
    """An event from outside, and when and where it is published."""

    time: datetime
    number: int  # of its order, so that all are in one sequence
    stream: str
    message: Event


@dataclass(frozen=True)
class Plan:
    """How many orders, and the seed that they are made from."""

    orders: int
    seed: int

    def events(self) -> Iterator[Outside]:
        """Everything from outside, in the order of its time."""
        yield Outside(START, 0, "demo-plan", Planned(orders=self.orders, seed=self.seed))
        yield from self._stock()
        later: list[tuple[datetime, int, Outside]] = []
        for number in range(1, self.orders + 1):
            placed, *follow = self._order(number)
            while later and later[0][0] <= placed.time:
                yield heappop(later)[2]
            yield placed
            for each in follow:
                heappush(later, (each.time, number, each))
        while later:
            yield heappop(later)[2]

    def _stock(self) -> Iterator[Outside]:
        for sku in SKUS:
            yield Outside(START, 0, f"inventory-{sku}", StockReceived(sku=sku, quantity=10 * self.orders + 10))
        limited = sum(number % LIMITED_EACH == 0 for number in range(1, self.orders + 1))
        yield Outside(START, 0, f"inventory-{LIMITED}", StockReceived(sku=LIMITED, quantity=limited // 2))

    def _order(self, number: int) -> Iterator[Outside]:
        """The order, and what people and the bank do about it later."""
        random = Random(f"{self.seed}/{number}")  # noqa: S311  a demo, not a secret
        time = START + number * EVERY
        if number % LIMITED_EACH == 0:
            yield self._placed(number, time, [Line(sku=LIMITED, quantity=1)], Decimal(80), "card-")
            return
        lines = [Line(sku=sku, quantity=random.randint(1, 3)) for sku in random.sample(SKUS, random.choice((1, 1, 1, 2, 2, 3)))]
        missing = random.random() < 0.03
        if missing:
            lines.append(Line(sku=SOLD_OUT, quantity=1))
        cents = random.randint(2_000, 50_000) if random.random() < 0.85 else random.randint(50_001, 600_000)
        total = Decimal(cents) / 100
        (card,) = random.choices(("card-", "declined-", "late-", "lost-"), (92, 4, 3, 1))
        yield self._placed(number, time, lines, total, card)
        if not missing and APPROVED_UP_TO < total <= REJECTED_OVER:
            yield from self._review(number, time, random)
        elif not missing and total <= APPROVED_UP_TO and card == "late-":
            order_id = self._id(number)
            charged = CardCharged(order_id=order_id, amount=total)
            yield Outside(time + timedelta(days=random.randint(5, 9)), number, f"payment-{order_id}", charged)

    def _id(self, number: int) -> str:
        return f"{self.seed}.{number:06d}"

    def _placed(self, number: int, time: datetime, lines: list[Line], total: Decimal, card: str) -> Outside:
        order = OrderPlaced(order_id=self._id(number), lines=tuple(lines), total=total, card=f"{card}{number}")
        return Outside(time, number, f"order-{order.order_id}", order)

    def _review(self, number: int, time: datetime, random: Random) -> Iterator[Outside]:
        """A person approves, rejects, or goes on holiday."""
        order_id, reviewer = self._id(number), random.choice(("ada", "grace", "alan"))
        later = time + timedelta(hours=random.randint(1, 20))
        (verdict,) = random.choices((ReviewApproved, ReviewRejected, None), (60, 25, 15))
        if verdict is not None:
            yield Outside(later, number, f"review-{order_id}", verdict(order_id=order_id, reviewer=reviewer))
