"""What one order has paid. The bank is simulated: how a card begins says what the bank does, so every run of the demo is the same."""

from decimal import Decimal

from process_manager import Aggregate, Refused, applies
from process_manager.examples.order_fulfilment.messages import CardCharged, CardDeclined, CardRefunded, ChargePending

DECLINED = "declined-"
"""Cards that begin so are refused."""

SLOW = ("late-", "lost-")
"""Cards that begin so get no answer at once: the bank publishes `CardCharged` days later, or never."""


class Payment(Aggregate, category="payment"):
    """One for each order. A late `CardCharged` comes into its stream from the bank."""

    def __init__(self, id: str) -> None:
        super().__init__(id)
        self.paid = Decimal(0)

    def charge(self, card: str, amount: Decimal) -> None:
        if card.startswith(DECLINED):
            raise Refused(CardDeclined(order_id=self.id, reason="insufficient funds"))
        if card.startswith(SLOW):
            self.record(ChargePending(order_id=self.id, amount=amount))
        else:
            self.record(CardCharged(order_id=self.id, amount=amount))

    def refund(self) -> None:
        """All that was paid goes back; nothing, if nothing was paid."""
        self.record(CardRefunded(order_id=self.id, amount=self.paid))

    @applies
    def was_charged(self, event: CardCharged) -> None:
        self.paid += event.amount

    @applies
    def was_refunded(self, event: CardRefunded) -> None:
        self.paid -= event.amount
