"""What one order has paid. The bank is simulated: how a card begins says what the bank does, so every run of the demo is the same."""

from decimal import Decimal

from process_manager import Aggregate, Refused, applies
from process_manager.examples.order_fulfilment.messages import CardCharged, CardDeclined, CardRefunded, ChargePending, NothingToSettle

DECLINED = "declined-"
"""Cards that begin so are refused."""

SLOW = ("late-", "lost-")
"""Cards that begin so get no answer at once: it comes late, by `SettleCharge`, or never."""


class Payment(Aggregate, category="payment"):
    """One for each order."""

    def __init__(self, id: str) -> None:
        super().__init__(id)
        self.paid = Decimal(0)
        self.pending: ChargePending | None = None

    def charge(self, card: str, amount: Decimal, command_id: str) -> None:
        if card.startswith(DECLINED):
            raise Refused(CardDeclined(order_id=self.id, reason="insufficient funds"))
        if card.startswith(SLOW):
            self.record(ChargePending(order_id=self.id, amount=amount, command_id=command_id))
        else:
            self.record(CardCharged(order_id=self.id, amount=amount))

    def settle(self) -> None:
        """The bank has charged the card after all: the answer to the command that asked for it."""
        if self.pending is None:
            raise Refused(NothingToSettle(order_id=self.id))
        self.record(CardCharged(order_id=self.id, amount=self.pending.amount), answers=self.pending.command_id)

    def refund(self) -> None:
        """All that was paid goes back; nothing, if nothing was paid."""
        self.record(CardRefunded(order_id=self.id, amount=self.paid))

    @applies
    def is_pending(self, event: ChargePending) -> None:
        self.pending = event

    @applies
    def was_charged(self, event: CardCharged) -> None:
        self.paid += event.amount
        self.pending = None

    @applies
    def was_refunded(self, event: CardRefunded) -> None:
        self.paid -= event.amount
